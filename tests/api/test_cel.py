"""Every CEL rule accepts and refuses as its examples say; only an API server can tell.

An example is a file tests/api/cel/RULE.accept.yaml or RULE.refuse.yaml: `after` is sent, over `before` if there is
one; `error` is in the API server's refusal.
"""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.api import objects

from devkit.cluster import Cluster
from devkit.cluster.client import ApiError
from devkit.paths import REPOSITORY
from shimmy_api.crd import render_crd
from shimmy_api.kinds import KINDS

EXAMPLES: Final = sorted(Path(__file__).with_name("cel").glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    example: dict[str, Any] = yaml.safe_load(path.read_text())
    return example


def send(cluster: Cluster, example: dict[str, Any]) -> None:
    """Make the change and undo it."""
    if "before" not in example:
        cluster.client.json(f"{objects.collection(example['after'])}?dryRun=All", "POST", example["after"])
        return
    objects.create(cluster, example["before"])
    path = objects.path(example["before"])
    try:
        version = cluster.client.json(path)["metadata"]["resourceVersion"]
        after = example["after"]
        after = {**after, "metadata": {**after["metadata"], "resourceVersion": version}}
        cluster.client.json(f"{path}?dryRun=All", "PUT", after)
    finally:
        cluster.client.json(path, "DELETE")


@pytest.mark.parametrize("path", [p for p in EXAMPLES if ".accept." in p.name], ids=lambda path: path.name)
def test_an_accepting_example_is_accepted(installed: Cluster, path: Path) -> None:
    send(installed, read(path))


@pytest.mark.parametrize("path", [p for p in EXAMPLES if ".refuse." in p.name], ids=lambda path: path.name)
def test_a_refusing_example_is_refused_with_the_rules_message(installed: Cluster, path: Path) -> None:
    example = read(path)
    with pytest.raises(ApiError) as refusal:
        send(installed, example)
    assert refusal.value.code == 422
    assert example["error"] in refusal.value.message


def messages(node: Any) -> set[str]:
    """The messages of all CEL rules in a schema."""
    if isinstance(node, list):
        return set().union(*(messages(item) for item in node))
    if not isinstance(node, dict):
        return set()
    own = {rule["message"] for rule in node.get("x-kubernetes-validations", ())}
    return own.union(*(messages(child) for child in node.values()))


def test_every_rule_has_an_accepting_and_a_refusing_example() -> None:
    refused = {(read(path)["error"], path.name.split(".")[0]) for path in EXAMPLES if ".refuse." in path.name}
    accepted = {path.name.split(".")[0] for path in EXAMPLES if ".accept." in path.name}
    rules = set().union(*(messages(render_crd(kind)) for kind in KINDS))
    assert rules == {message for message, rule in refused if rule in accepted}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_an_example_for_users_is_accepted(installed: Cluster, path: Path) -> None:
    manifest = yaml.safe_load(path.read_text())
    namespace = manifest["metadata"].get("namespace", "default")
    if installed.client.find(f"/api/v1/namespaces/{namespace}") is None:
        objects.create(installed, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    installed.client.json(f"{objects.collection(manifest)}?dryRun=All&fieldValidation=Strict", "POST", manifest)


UNKNOWN: Final = {
    "a field that does not exist": objects.tenant("strict", qouta={"gpus": 1}),
    "a value of the wrong kind": objects.tenant("strict", quota={"gpus": "many"}),
    "a source of an unknown kind": objects.model("default", "strict", "ftp://example.org/tiny.gguf"),
    "a schedule that is none": objects.tenant(
        "strict", discovery={"sources": [{"name": "a", "source": "pvc://a"}], "schedule": {"cron": "TZ=UTC 1 * * * *"}}
    ),
    "two sources of one name": objects.tenant(
        "strict", discovery={"sources": [{"name": "a", "source": "pvc://a"}, {"name": "a", "source": "pvc://b"}]}
    ),
    "a source that is no claim": objects.tenant(
        "strict", discovery={"sources": [{"name": "a", "source": "https://example.org/models"}]}
    ),
    "a key that expires at some time": objects.tenant("strict", keys=[{"name": "a", "expiresAt": "next summer"}]),
    "a key that expires on a day that there is not": objects.tenant(
        "strict", keys=[{"name": "a", "expiresAt": "2027-02-29T00:00:00Z"}]
    ),
    "a key that expires in no time zone": objects.tenant(
        "strict", keys=[{"name": "a", "expiresAt": "2027-02-28T00:00:00"}]
    ),
    "two keys of one name": objects.tenant("strict", keys=[{"name": "a"}, {"name": "a"}]),
    "a key for no model": objects.tenant("strict", keys=[{"name": "a", "models": []}]),
    "two entries of tokens of one name": objects.tenant(
        "strict",
        tokens=[{"name": "a", "audience": "x", "values": ["y"]}, {"name": "a", "audience": "z", "values": ["y"]}],
    ),
    "tokens of nobody": objects.tenant("strict", tokens=[{"name": "a", "audience": "x", "values": []}]),
    "an issuer that is no URL": objects.tenant(
        "strict", tokens=[{"name": "a", "issuer": "id.example", "jwks": {}, "audience": "x", "values": ["y"]}]
    ),
    "a limit of nothing": objects.tenant("strict", limits={"requestsPerMinute": 0}),
    "a key that is limited in tokens": objects.tenant(
        "strict", keys=[{"name": "a", "limits": {"tokensPerMinute": 1000}}]
    ),
    "a weight of nothing": objects.tenant("strict", weight=0),
    "a fallback to nothing": objects.tenant("strict", fallback={"models": []}),
    "a fallback on an unknown cause": objects.tenant("strict", fallback={"models": ["tiny"], "when": ["Boredom"]}),
    "a model that is shared with one tenant twice": {
        **(shared := objects.model("default", "strict", "pvc://models/tiny.gguf")),
        "spec": {**shared["spec"], "sharedWith": {"tenants": ["a", "a"]}},
    },
    "more retries than make sense": objects.instance("default", "strict", "tiny", routing={"retries": 6}),
    "more held requests than make sense": objects.instance(
        "default", "strict", "tiny", autoscaling={"maxReplicas": 1, "wake": {"mostHeld": 10_001}}
    ),
    "autoscaling without an upper bound": objects.instance("default", "strict", "tiny", autoscaling={}),
    "a schedule of no cron's form": objects.instance(
        "default",
        "strict",
        "tiny",
        autoscaling={
            "maxReplicas": 1,
            "schedules": [{"name": "a", "start": "@daily", "end": "0 0 * * *", "minReplicas": 1}],
        },
    ),
    "a placement that does not exist": objects.instance("default", "strict", "tiny", placement="shared"),
    "the group of root": objects.instance("default", "strict", "tiny", gpu={"supplementalGroups": [0]}),
    "shared pods without models": objects.instance("default", "strict", placement="Shared"),
    "an instance without models": objects.instance("default", "strict"),
}


@pytest.mark.parametrize("mistake", UNKNOWN)
def test_a_mistake_in_a_spec_is_refused_by_the_api_server(installed: Cluster, mistake: str) -> None:
    manifest = UNKNOWN[mistake]
    with pytest.raises(ApiError) as refusal:
        installed.client.json(f"{objects.collection(manifest)}?dryRun=All&fieldValidation=Strict", "POST", manifest)
    assert refusal.value.code in {400, 422}
