"""Every child object, as a golden file per case."""

import copy
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.unit.operator.samples import CONTEXT, GPU, HTTP_MODEL, OWNER, SMALL, VOLUME_MODEL, served

from shimmy_api import names
from shimmy_api.tenant import FetchPolicy, Quota
from shimmy_operator.render.deployment import render_deployment
from shimmy_operator.render.job import render_job
from shimmy_operator.render.metadata import Owner, stamped
from shimmy_operator.render.namespace import render_namespace
from shimmy_operator.render.network_policies import render_network_policies
from shimmy_operator.render.quota import render_quota
from shimmy_operator.render.secrets import render_engine_token_secret, render_key_secret, render_mirror
from shimmy_operator.render.service import render_service
from shimmy_operator.render.service_account import render_service_account
from shimmy_operator.render.volume import render_volume

GOLDENS: Final = Path(__file__).with_name("goldens")
NS: Final = "shimmy-acme"
TENANT: Final = Owner("ShimmyTenant", "acme", "uid-0")
MODEL: Final = Owner("ShimmyModel", "tiny", "uid-2")
FETCH: Final = FetchPolicy.model_validate({"egress": [{"cidr": "2001:db8::/32", "ports": [443, 8443]}]})

CASES: Final[dict[str, Callable[[], Any]]] = {
    "namespace": lambda: render_namespace("acme", NS),
    "quota": lambda: render_quota("acme", NS, Quota(gpus=4, memory="64Gi", pods=20)),
    "quota-without-bounds": lambda: render_quota("acme", NS, Quota()),
    "network-policies": lambda: render_network_policies("acme", NS, FETCH, CONTEXT),
    "network-policies-without-sources": lambda: render_network_policies(
        "acme", NS, FetchPolicy(), replace(CONTEXT, fetch_egress=())
    ),
    "service-account": lambda: render_service_account("acme", NS),
    "secret-key": lambda: render_key_secret("acme", NS, "default", TENANT),
    "secret-engine-token": lambda: render_engine_token_secret("acme", NS, TENANT),
    "secret-mirror": lambda: render_mirror("acme", {"default": "a-key"}, "a-token", TENANT, "shimmy-system"),
    "volume": lambda: render_volume("acme", NS, "tiny", HTTP_MODEL),
    "job-check": lambda: render_job("acme", NS, MODEL, VOLUME_MODEL, CONTEXT),
    "job-fetch": lambda: render_job("acme", NS, MODEL, HTTP_MODEL, CONTEXT),
    "service": lambda: render_service("acme", NS, OWNER, "tiny"),
    "deployment": lambda: render_deployment("acme", NS, OWNER, SMALL, served(), CONTEXT),
    "deployment-gpu": lambda: render_deployment("acme", NS, OWNER, GPU, served(HTTP_MODEL), CONTEXT),
}


@pytest.mark.parametrize("case", CASES)
def test_a_child_is_rendered_as_its_golden_says(case: str, request: pytest.FixtureRequest) -> None:
    plain = json.loads(json.dumps(CASES[case]()))  # no YAML anchors for shared parts
    text = yaml.safe_dump(plain, sort_keys=False, width=110)
    golden = GOLDENS / f"{case}.yaml"
    if request.config.getoption("--update-goldens"):
        assert not os.environ.get("CI"), "goldens are not rewritten in CI"
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("case", CASES)
def test_rendering_twice_gives_the_same_and_leaves_no_trace_in_the_first(case: str) -> None:
    first = CASES[case]()
    kept = copy.deepcopy(first)
    assert CASES[case]() == kept
    assert first == kept


def test_rendering_leaves_its_input_unchanged() -> None:
    before = (GPU.model_dump(), served(HTTP_MODEL).spec.model_dump(), CONTEXT)
    render_deployment("acme", NS, OWNER, GPU, served(HTTP_MODEL), CONTEXT)
    render_job("acme", NS, MODEL, HTTP_MODEL, CONTEXT)
    assert before == (GPU.model_dump(), served(HTTP_MODEL).spec.model_dump(), CONTEXT)


def test_a_file_of_the_users_needs_no_volume() -> None:
    assert render_volume("acme", NS, "tiny", VOLUME_MODEL) is None


@pytest.mark.parametrize("case", ["namespace", "quota", "network-policies", "volume"])
def test_what_guards_or_holds_data_has_no_owner(case: str) -> None:
    assert "ownerReferences" not in yaml.safe_dump(CASES[case]())


@pytest.mark.parametrize("case", ["deployment", "deployment-gpu", "job-check", "job-fetch"])
def test_no_secret_is_in_a_pods_environment_or_arguments(case: str) -> None:
    container = CASES[case]()["spec"]["template"]["spec"]["containers"][0]
    assert "env" not in container
    assert "envFrom" not in container


def test_the_router_finds_an_engine_by_the_labels_that_its_service_selects() -> None:
    deployment, service = CASES["deployment"](), CASES["service"]()
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["metadata"]["labels"][names.LABEL_TENANT] == "acme"


def test_another_file_means_other_pods() -> None:
    model = served()
    changed = replace(model, artifact=model.artifact.model_copy(update={"sha256": "c" * 64}))
    one, other = (render_deployment("acme", NS, OWNER, SMALL, m, CONTEXT) for m in (model, changed))
    assert one["spec"]["template"] != other["spec"]["template"]
    assert one["spec"]["selector"] == other["spec"]["selector"]


def test_the_stamp_changes_when_a_field_is_no_longer_rendered() -> None:
    more = stamped(render_quota("acme", NS, Quota(gpus=4, memory="64Gi")))
    less = stamped(render_quota("acme", NS, Quota(gpus=4)))
    assert more["metadata"]["annotations"] != less["metadata"]["annotations"]
    assert re.fullmatch("[0-9a-f]{16}", more["metadata"]["annotations"][names.ANNOTATION_RENDERED])
