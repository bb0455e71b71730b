"""A tenant's own router, which the operator makes, runs as the shared one does, which the chart installs."""

import json
from typing import Any

import pytest
from tests.helm.charts import Helm, Manifest, containers, find

from shimmy_operator.render.metadata import Owner
from shimmy_operator.render.router import render_tenant_router
from shimmy_operator.settings import parse_settings
from shimmy_router.__main__ import _parser

NAMESPACE = "shimmy-a"


@pytest.fixture
def shared(helm: Helm) -> list[Manifest]:
    return helm.render()


@pytest.fixture
def own(shared: list[Manifest]) -> list[Manifest]:
    settings = parse_settings(containers(shared)["shimmy-operator/operator"]["args"], {})
    return render_tenant_router("a", NAMESPACE, Owner("ShimmyTenant", "a", "uid"), settings.context)


def test_its_pod_is_that_of_the_shared_router(shared: list[Manifest], own: list[Manifest]) -> None:
    theirs, ours = (find(manifests, "Deployment", _name(manifests))["spec"] for manifests in (shared, own))
    assert ours["strategy"]["rollingUpdate"] == theirs["strategy"]["rollingUpdate"]
    theirs, ours = theirs["template"]["spec"], ours["template"]["spec"]
    assert ours["terminationGracePeriodSeconds"] == theirs["terminationGracePeriodSeconds"]
    assert _plain(_without_authorities(ours["volumes"])) == _plain(_without_authorities(theirs["volumes"]))
    for part in ("initContainers", "containers"):
        assert [_told(c) for c in ours[part]] == [_told(c) for c in theirs[part]]


def test_its_agent_is_told_whom_it_serves(shared: list[Manifest], own: list[Manifest]) -> None:
    agent = containers(own)[f"{_name(own)}/agent"]
    given = _parser().parse_args(agent["args"])
    assert given.tenant == "a"
    theirs = _parser().parse_args(containers(shared)["shimmy-router/agent"]["args"])
    assert (given.meter, given.meter_folder) == (theirs.meter, theirs.meter_folder)
    assert [entry["name"] for entry in agent["env"]] == ["SHIMMY_NAMESPACE"]


def test_it_may_be_taken_away_one_pod_at_a_time(shared: list[Manifest], own: list[Manifest]) -> None:
    theirs, ours = (find(manifests, "PodDisruptionBudget", _name(manifests))["spec"] for manifests in (shared, own))
    assert {**ours, "selector": None} == {**theirs, "selector": None}


def test_the_chart_installs_the_rights_that_it_is_bound_to(shared: list[Manifest], own: list[Manifest]) -> None:
    (binding,) = [manifest for manifest in own if manifest["kind"] == "RoleBinding"]
    role = find(shared, "ClusterRole", binding["roleRef"]["name"])
    told = {"apiGroups": ["shimmy.dev"], "resources": ["shimmyinstances/load"], "verbs": ["create"]}
    assert told in role["rules"]
    assert {verb for rule in role["rules"] if rule != told for verb in rule["verbs"]} == {"list", "watch"}
    # Nothing of the cluster's: a RoleBinding could not give it anyway.
    assert not [rule for rule in role["rules"] if "shimmytenants" in rule["resources"]]


def _name(manifests: list[Manifest]) -> str:
    (name,) = [
        m["metadata"]["name"] for m in manifests if m["kind"] == "Deployment" and "router" in m["metadata"]["name"]
    ]
    return str(name)


def _told(container: Manifest) -> Any:
    """All of a container but its arguments, which say whom it serves, and what is the same if it is not said."""
    plain = {key: value for key, value in container.items() if key not in ("args", "ports", "imagePullPolicy")}
    return _plain(plain | {"ports": {port["name"]: port["containerPort"] for port in container.get("ports", [])}})


def _without_authorities(volumes: list[Manifest]) -> list[Manifest]:
    """Whom to take for the metrics server lies in another Secret in a tenant's namespace."""
    taken: list[Manifest] = json.loads(json.dumps(volumes))
    for source in (source for volume in taken for source in volume.get("projected", {}).get("sources", ())):
        if "secret" in source:
            assert [item.pop("path") for item in source["secret"]["items"]] == ["ca.crt"]
            source["secret"] = {"optional": source["secret"]["optional"]}
    return taken


def _plain(value: object) -> Any:
    return json.loads(json.dumps(value, sort_keys=True))
