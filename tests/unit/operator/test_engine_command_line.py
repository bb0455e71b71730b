"""The command lines that are rendered are those that the engine understands."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.samples import CONTEXT, GPU, HTTP_MODEL, NETWORK, OWNER, S3_MODEL, SMALL, VOLUME_MODEL, served
from typer.main import get_command

from shimmy_engine.__main__ import app
from shimmy_operator.render.deployment import render_deployment
from shimmy_operator.render.job import render_job
from shimmy_operator.render.metadata import Owner

MODEL = Owner("ShimmyModel", "tiny", "uid-2")
RENDERED: dict[str, Any] = {
    "serve": render_deployment("acme", "shimmy-acme", OWNER, SMALL, served(), CONTEXT),
    "serve with all flags": render_deployment("acme", "shimmy-acme", OWNER, GPU, served(HTTP_MODEL), CONTEXT),
    "check": render_job("acme", "shimmy-acme", MODEL, VOLUME_MODEL, CONTEXT),
    "fetch": render_job("acme", "shimmy-acme", MODEL, HTTP_MODEL, CONTEXT),
    "fetch with all flags": render_job(
        "acme", "shimmy-acme", MODEL, S3_MODEL, replace(CONTEXT, fetch_network=replace(NETWORK, offline=True))
    ),
}


@pytest.mark.parametrize("case", RENDERED)
def test_the_engine_understands_its_arguments(case: str) -> None:
    command, *arguments = RENDERED[case]["spec"]["template"]["spec"]["containers"][0]["args"]
    group: Any = get_command(app)
    understood = group.commands[command]
    with understood.make_context(command, list(arguments), resilient_parsing=False) as context:
        assert context.params
