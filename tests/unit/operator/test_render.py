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
from tests.unit.operator.samples import (
    CANDLE_MODEL,
    CONTEXT,
    CUDA,
    FETCHED_LORA_MODEL,
    FOLDER_MODEL,
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

from shimmy_api import names
from shimmy_api.autoscaling import Autoscaling
from shimmy_api.fields import DNS_SUBDOMAIN
from shimmy_api.model import ShimmyModelSpec
from shimmy_api.sources import VolumeSource, parse_source
from shimmy_api.tenant import Discovery, FetchPolicy, Quota
from shimmy_engine.catalogue import read_catalogue
from shimmy_operator.render import discovery
from shimmy_operator.render.autoscaler import render_autoscaler
from shimmy_operator.render.context import FetchNetwork
from shimmy_operator.render.deployment import render_deployment
from shimmy_operator.render.discovered import WantedModel, render_discovered
from shimmy_operator.render.fetch_access import closed_port, render_authorities
from shimmy_operator.render.job import render_job
from shimmy_operator.render.location import locate
from shimmy_operator.render.metadata import Owner, stamped
from shimmy_operator.render.namespace import render_namespace
from shimmy_operator.render.network_policies import render_network_policies
from shimmy_operator.render.quota import render_quota
from shimmy_operator.render.router import render_router_policy, render_scale_binding, render_tenant_router, with_tenant
from shimmy_operator.render.secrets import Credentials, render_engine_token_secret, render_key_secret, render_mirror
from shimmy_operator.render.service import render_service
from shimmy_operator.render.service_account import render_service_account
from shimmy_operator.render.slots import render_slots
from shimmy_operator.render.volume import render_volume

GOLDENS: Final = Path(__file__).with_name("goldens")
NS: Final = "shimmy-acme"
TENANT: Final = Owner("ShimmyTenant", "acme", "uid-0")
MODEL: Final = Owner("ShimmyModel", "tiny", "uid-2")
FETCH: Final = FetchPolicy.model_validate({"egress": [{"cidr": "2001:db8::/32", "ports": [443, 8443]}]})
DISCOVERY: Final = Discovery.model_validate(
    {
        "sources": [
            {"name": "shared", "source": "pvc://models/llm/", "personal": ["alice/*", "-x"], "sha256": True},
            {"name": "whole", "source": "pvc://models"},
        ],
        "schedule": {"cron": "30 3 * * *", "timeZone": "Europe/Berlin"},
    }
)
HOURLY: Final = DISCOVERY.model_copy(update={"schedule": None})
WITH_PERSONAL, WHOLE = DISCOVERY.sources

OFFLINE: Final = replace(CONTEXT, fetch_network=FetchNetwork(offline=True))


def _autoscaler(autoscaling: dict[str, Any]) -> Any:
    deployment = render_deployment("acme", NS, OWNER, SMALL, served(), CONTEXT)
    return render_autoscaler(deployment, OWNER, Autoscaling.model_validate(autoscaling), 0, 3)


CASES: Final[dict[str, Callable[[], Any]]] = {
    "autoscaler": lambda: _autoscaler({"minReplicas": 0, "maxReplicas": 4}),
    "autoscaler-behavior": lambda: _autoscaler(
        {
            "maxReplicas": 4,
            "targetUtilization": 150,
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 30},
                "scaleDown": {"selectPolicy": "Min", "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
            },
        }
    ),
    "scale-binding": lambda: render_scale_binding("acme", NS, TENANT, "shimmy-router", "shimmy-system"),
    "namespace": lambda: render_namespace("acme", NS),
    "quota": lambda: render_quota("acme", NS, Quota(gpus=4, memory="64Gi", pods=20)),
    "quota-without-bounds": lambda: render_quota("acme", NS, Quota()),
    "network-policies": lambda: render_network_policies("acme", NS, FETCH, "Shared", CONTEXT),
    "network-policies-without-sources": lambda: render_network_policies(
        "acme", NS, FetchPolicy(), "Shared", replace(CONTEXT, fetch_egress=())
    ),
    "network-policies-own-router": lambda: render_network_policies("acme", NS, FETCH, "Dedicated", CONTEXT),
    "router": lambda: render_tenant_router("acme", NS, TENANT, CONTEXT),
    "router-without-meter": lambda: render_tenant_router("acme", NS, TENANT, replace(CONTEXT, router_meter="")),
    "router-policy": lambda: render_router_policy("acme", NS, CONTEXT, wanted=True),
    "router-policy-unwanted": lambda: render_router_policy("acme", NS, CONTEXT, wanted=False),
    "router-mirror": lambda: with_tenant(
        render_mirror("acme", Credentials("a-token", {"default": "a-key"}), TENANT, NS),
        {"metadata": {"name": "acme", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"router": "Dedicated"}},
        NS,
        "-----BEGIN CERTIFICATE-----\n",
    ),
    "service-account": lambda: render_service_account("acme", NS),
    "secret-key": lambda: render_key_secret("acme", NS, "default", TENANT),
    "secret-engine-token": lambda: render_engine_token_secret("acme", NS, TENANT),
    "secret-mirror": lambda: render_mirror(
        "acme", Credentials("a-token", {"default": "a-key"}, {"people": '{"keys":[]}'}), TENANT, "shimmy-system"
    ),
    "volume": lambda: render_volume("acme", NS, "tiny", HTTP_MODEL),
    "job-check": lambda: render_job("acme", NS, MODEL, VOLUME_MODEL, CONTEXT),
    "job-fetch": lambda: render_job("acme", NS, MODEL, HTTP_MODEL, CONTEXT),
    "job-fetch-network": lambda: render_job("acme", NS, MODEL, S3_MODEL, replace(CONTEXT, fetch_network=NETWORK)),
    "job-fetch-offline": lambda: render_job("acme", NS, MODEL, HTTP_MODEL, OFFLINE),
    "job-check-adapter": lambda: render_job("acme", NS, MODEL, LORA_MODEL, CONTEXT),
    "job-fetch-adapter": lambda: render_job("acme", NS, MODEL, FETCHED_LORA_MODEL, CONTEXT),
    "job-convert": lambda: render_job("acme", NS, MODEL, FOLDER_MODEL, CONTEXT),
    "job-convert-file": lambda: render_job("acme", NS, MODEL, CANDLE_MODEL, CONTEXT),
    "job-convert-hub": lambda: render_job("acme", NS, MODEL, HUB_MODEL, replace(CONTEXT, fetch_network=NETWORK)),
    "deployment-adapter": lambda: render_deployment("acme", NS, OWNER, SMALL, served_with_adapter(), CONTEXT),
    "network-policies-offline": lambda: render_network_policies("acme", NS, FETCH, "Shared", OFFLINE),
    "authorities": lambda: render_authorities("acme", NS, TENANT, NETWORK),
    "discovery-account": lambda: discovery.render_account("acme", NS),
    "discovery-binding": lambda: discovery.render_binding("acme", NS, TENANT),
    "discovery-config-map": lambda: discovery.render_config_map("acme", NS, TENANT),
    "discovery-policy": lambda: discovery.render_policy(
        "acme", NS, replace(CONTEXT, api_server_ports=(443, 6443)), wanted=True
    ),
    "discovery-policy-unwanted": lambda: discovery.render_policy("acme", NS, CONTEXT, wanted=False),
    "discovery-job": lambda: discovery.render_job("acme", NS, TENANT, WITH_PERSONAL, CONTEXT),
    "discovery-schedule": lambda: discovery.render_schedule("acme", NS, TENANT, DISCOVERY, WITH_PERSONAL, CONTEXT),
    "discovery-schedule-hourly": lambda: discovery.render_schedule("acme", NS, TENANT, HOURLY, WHOLE, CONTEXT),
    "discovered-model": lambda: render_discovered(
        "acme",
        NS,
        WantedModel("toy", "shared", {"backend": {"gguf": {"source": "pvc://models/llm/toy.gguf"}}, "personal": True}),
    ),
    "service": lambda: render_service("acme", NS, OWNER, "tiny", names.selector_labels("chat", "tiny")),
    "service-of-slots": lambda: render_service("acme", NS, OWNER, "tiny", names.slot_labels("chat")),
    "deployment": lambda: render_deployment("acme", NS, OWNER, SMALL, served(), CONTEXT),
    "deployment-gpu": lambda: render_deployment("acme", NS, OWNER, GPU, served(HTTP_MODEL), CONTEXT),
    "deployment-cuda": lambda: render_deployment("acme", NS, OWNER, CUDA, served(), CONTEXT),
    "slots": lambda: render_slots("acme", NS, OWNER, SHARED, POOL, CONTEXT),
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


def test_a_cluster_without_authorities_of_its_own_needs_no_config_map() -> None:
    assert render_authorities("acme", NS, TENANT, FetchNetwork()) is None


MIRRORS: Final = FetchNetwork(hub_endpoint="http://hub.example:8080", s3_endpoint="http://minio.example:9000")
PROXIES: Final = FetchNetwork(
    http_proxy="http://proxy.example", https_proxy="http://proxy.example:3128", no_proxy="near.example"
)


@pytest.mark.parametrize(
    ("source", "network", "port"),
    [
        *(("https://h/x.gguf", FetchNetwork(), 443), ("http://h/x.gguf", FetchNetwork(), 80)),
        *(("https://h:8443/x.gguf", FetchNetwork(), 8443), ("s3://models/x.gguf", FetchNetwork(), 443)),
        *(("s3://models/x.gguf", MIRRORS, 9000), ("s3://models/x.gguf?endpoint=http://h:1", MIRRORS, 1)),
        *(("oci://h/x:v1", FetchNetwork(), 443), ("oci://h:5000/x:v1", FetchNetwork(), 5000)),
        *(("hf://o/n/x.gguf", FetchNetwork(), 443), ("hf://o/n/x.gguf", MIRRORS, 8080)),
        *(("https://h:8443/x.gguf", PROXIES, 3128), ("http://h/x.gguf", PROXIES, 80)),
        *(("https://near.example:8443/x.gguf", PROXIES, 8443), ("oci://a.near.example/x:v1", PROXIES, 443)),
    ],
)
def test_the_port_that_a_source_needs_is_known(source: str, network: FetchNetwork, port: int) -> None:
    parsed = parse_source(source)
    assert not isinstance(parsed, VolumeSource)
    context = replace(CONTEXT, fetch_network=network)
    assert closed_port(parsed, context, {22}) == port
    assert closed_port(parsed, context, {port}) is None


def test_a_file_of_the_users_needs_no_volume() -> None:
    assert render_volume("acme", NS, "tiny", VOLUME_MODEL) is None
    assert render_volume("acme", NS, "tiny", LORA_MODEL) is None


@pytest.mark.parametrize("spec", [FOLDER_MODEL, HUB_MODEL, CANDLE_MODEL, FETCHED_LORA_MODEL])
def test_what_is_fetched_or_converted_goes_onto_a_volume_of_the_models_own(spec: ShimmyModelSpec) -> None:
    volume = render_volume("acme", NS, "tiny", spec)
    assert volume is not None
    assert volume["metadata"]["name"] == names.model_volume("tiny")


def test_an_adapter_on_the_models_own_claim_needs_no_second_volume() -> None:
    beside = served_with_adapter("models")
    pod = render_deployment("acme", NS, OWNER, SMALL, beside, CONTEXT)["spec"]["template"]["spec"]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
    assert claims == ["models"]
    arguments = pod["containers"][0]["args"]
    assert arguments[arguments.index("--lora-file") + 1] == "/models/acme.gguf"


def test_every_container_of_a_job_may_end_it_with_a_verdict() -> None:
    job = CASES["job-convert-hub"]()["spec"]
    pod = job["template"]["spec"]
    containers = [container["name"] for container in (*pod["initContainers"], *pod["containers"])]
    rules = [rule["onExitCodes"] for rule in job["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert [rule["containerName"] for rule in rules] == containers == ["fetch-model", "fetch-adapter", "fetch"]


def test_the_file_of_another_conversion_has_another_name() -> None:
    other = FOLDER_MODEL.model_copy(update={"backend": CANDLE_MODEL.backend})
    assert locate("tiny", FOLDER_MODEL).path != locate("tiny", other).path


@pytest.mark.parametrize("case", ["namespace", "quota", "network-policies", "volume", "discovery-policy"])
def test_what_guards_or_holds_data_has_no_owner(case: str) -> None:
    assert "ownerReferences" not in yaml.safe_dump(CASES[case]())


@pytest.mark.parametrize(
    "case",
    ["deployment", "deployment-gpu", "slots", "job-check", "job-fetch", "job-fetch-network", "discovery-job"],
)
def test_no_secret_is_in_a_pods_environment_or_arguments(case: str) -> None:
    container = CASES[case]()["spec"]["template"]["spec"]["containers"][0]
    public = {"HTTPS_PROXY", "NO_PROXY", "HF_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_REGION"}
    public |= {"NVIDIA_DRIVER_CAPABILITIES"}
    assert {entry["name"] for entry in container.get("env", ())} <= public
    assert all("valueFrom" not in entry for entry in container.get("env", ()))
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


def test_the_runner_reads_the_catalogue_that_is_rendered(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(CASES["slots"]()["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_CATALOGUE])
    models = read_catalogue(file)
    mounts = {m["mountPath"] for m in CASES["slots"]()["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert list(models) == ["tiny", "big", "other"]
    assert models["big"].context == 4096
    assert models["tiny"].lora_file == Path("/models/adapters/acme.gguf")
    assert {str(Path(*model.file.parts[:3])) for model in models.values()} | {"/models/adapters"} <= mounts


def test_slots_have_room_for_the_largest_model_alone() -> None:
    memory = [
        render_slots("acme", NS, OWNER, SHARED, models, CONTEXT)["spec"]["template"]["spec"]["containers"][0][
            "resources"
        ]
        for models in (POOL, POOL[1:2])
    ]
    assert memory[0] == memory[1]


def test_another_file_of_one_model_means_other_slots() -> None:
    changed = replace(POOL[1], artifact=POOL[1].artifact.model_copy(update={"sha256": "c" * 64}))
    one, other = (render_slots("acme", NS, OWNER, SHARED, pool, CONTEXT) for pool in (POOL, (changed, *POOL[::2])))
    assert one["spec"]["template"]["metadata"] != other["spec"]["template"]["metadata"]
    assert one["spec"]["selector"] == other["spec"]["selector"]


def test_the_service_of_a_model_selects_the_pods_of_one_placement_alone() -> None:
    pods = {case: CASES[case]()["spec"]["template"]["metadata"]["labels"].items() for case in ("deployment", "slots")}
    selectors = {case: CASES[case]()["spec"]["selector"].items() for case in ("service", "service-of-slots")}
    found = {(s, p) for s, selector in selectors.items() for p, labels in pods.items() if selector <= labels}
    assert found == {("service", "deployment"), ("service-of-slots", "slots")}


def test_no_model_can_have_pods_of_the_name_of_the_slots() -> None:
    assert names.slots("chat") == "chat--slots"
    assert re.fullmatch(DNS_SUBDOMAIN, "-slots") is None


def test_the_stamp_changes_when_a_field_is_no_longer_rendered() -> None:
    more = stamped(render_quota("acme", NS, Quota(gpus=4, memory="64Gi")))
    less = stamped(render_quota("acme", NS, Quota(gpus=4)))
    assert more["metadata"]["annotations"] != less["metadata"]["annotations"]
    assert re.fullmatch("[0-9a-f]{16}", more["metadata"]["annotations"][names.ANNOTATION_RENDERED])
