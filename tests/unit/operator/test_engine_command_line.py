"""The command lines that are rendered are those that the engine understands."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator.samples import (
    CANDLE_MODEL,
    CONTEXT,
    FETCHED_LORA_MODEL,
    GPU,
    HTTP_MODEL,
    HUB_MODEL,
    LORA_MODEL,
    NETWORK,
    OWNER,
    POOL,
    S3_MODEL,
    SHARED,
    SMALL,
    VOLUME_MODEL,
    served,
    served_with_adapter,
)
from typer.main import get_command

from shimmy_engine.__main__ import app
from shimmy_operator.render.deployment import render_deployment
from shimmy_operator.render.job import render_job
from shimmy_operator.render.metadata import Owner
from shimmy_operator.render.slots import render_slots

MODEL = Owner("ShimmyModel", "tiny", "uid-2")
RENDERED: dict[str, Any] = {
    "serve": render_deployment("acme", "shimmy-acme", OWNER, SMALL, served(), CONTEXT),
    "serve with all flags": render_deployment("acme", "shimmy-acme", OWNER, GPU, served(HTTP_MODEL), CONTEXT),
    "serve with an adapter": render_deployment("acme", "shimmy-acme", OWNER, SMALL, served_with_adapter(), CONTEXT),
    "check with an adapter": render_job("acme", "shimmy-acme", MODEL, LORA_MODEL, CONTEXT),
    "fetch with an adapter": render_job("acme", "shimmy-acme", MODEL, FETCHED_LORA_MODEL, CONTEXT),
    "convert": render_job("acme", "shimmy-acme", MODEL, CANDLE_MODEL, CONTEXT),
    "convert from a hub": render_job(
        "acme", "shimmy-acme", MODEL, HUB_MODEL, replace(CONTEXT, fetch_network=replace(NETWORK, offline=True))
    ),
    "serve several": render_slots("acme", "shimmy-acme", OWNER, SHARED, POOL, CONTEXT),
    "check": render_job("acme", "shimmy-acme", MODEL, VOLUME_MODEL, CONTEXT),
    "fetch": render_job("acme", "shimmy-acme", MODEL, HTTP_MODEL, CONTEXT),
    "fetch with all flags": render_job(
        "acme", "shimmy-acme", MODEL, S3_MODEL, replace(CONTEXT, fetch_network=replace(NETWORK, offline=True))
    ),
}


@pytest.mark.parametrize("case", RENDERED)
def test_the_engine_understands_its_arguments(case: str) -> None:
    pod = RENDERED[case]["spec"]["template"]["spec"]
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        command, *arguments = container["args"]
        group: Any = get_command(app)
        understood = group.commands[command]
        with understood.make_context(command, list(arguments), resilient_parsing=False) as context:
            assert context.params
