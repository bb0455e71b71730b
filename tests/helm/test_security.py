"""What the installed pods may do."""

import json

import pytest
import yaml
from tests.helm.charts import NAMESPACE, Helm, Manifest, containers, find, pod_specs, rules

from devkit.paths import REPOSITORY
from shimmy_operator.render.pod import RESTRICTED_CONTAINER, USER


def test_every_pod_meets_the_restricted_profile(helm: Helm) -> None:
    manifests = helm.render()
    for pod in pod_specs(manifests).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == USER
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all("hostPath" not in volume for volume in pod.get("volumes", []))
    for container in containers(manifests).values():
        assert container["securityContext"] == RESTRICTED_CONTAINER
        assert "limits" in container["resources"]


def test_no_rule_has_a_wildcard(helm: Helm) -> None:
    for rule in rules(helm.render()):
        assert not [entry for entries in rule.values() for entry in entries if "*" in entry]
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


@pytest.mark.parametrize("component", ["operator", "router", "meter"])
def test_a_component_has_exactly_the_rights_that_its_tests_run_with(helm: Helm, component: str) -> None:
    text = (REPOSITORY / f"operator/shimmy_{component}/rbac.yaml").read_text(encoding="utf-8")
    tested = {(m["kind"], m["metadata"]["name"]): m.get("rules") for m in yaml.safe_load_all(text)}
    installed = {(m["kind"], m["metadata"]["name"]): m.get("rules") for m in helm.render()}
    assert {key: installed[key] for key in tested} == tested


def test_the_router_reads_secrets_in_its_own_namespace_only(helm: Helm) -> None:
    manifests = helm.render()
    assert not [rule for rule in find(manifests, "ClusterRole", "shimmy-router")["rules"] if _secrets(rule)]
    role = find(manifests, "Role", "shimmy-router")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert [rule["verbs"] for rule in role["rules"] if _secrets(rule)] == [["list", "watch"]]


def test_the_router_can_change_nothing(helm: Helm) -> None:
    manifests = helm.render()
    for kind in ("ClusterRole", "Role"):
        for rule in find(manifests, kind, "shimmy-router")["rules"]:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_only_the_agent_has_the_tokens_of_the_routers_account(helm: Helm) -> None:
    manifests = helm.render()
    pod = find(manifests, "Deployment", "shimmy-router")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    volumes = {
        v["name"]
        for v in pod["volumes"]
        if any("serviceAccountToken" in s for s in v.get("projected", {}).get("sources", []))
    }
    assert volumes == {"token", "meter"}
    mounting = {
        name
        for name, container in containers(manifests).items()
        if name.startswith("shimmy-router/") and volumes & {mount["name"] for mount in container["volumeMounts"]}
    }
    assert mounting == {"shimmy-router/agent"}


def test_no_secret_comes_by_the_environment(helm: Helm) -> None:
    for container in containers(helm.render()).values():
        assert "envFrom" not in container
        assert all("secretKeyRef" not in entry.get("valueFrom", {}) for entry in container.get("env", []))


def test_every_pod_is_behind_a_network_policy(helm: Helm) -> None:
    manifests = helm.render()
    guarded = [m["spec"]["podSelector"]["matchLabels"] for m in manifests if m["kind"] == "NetworkPolicy"]
    for deployment in (m for m in manifests if m["kind"] == "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert any(selector.items() <= labels.items() for selector in guarded)


def test_only_who_is_named_reaches_routers_and_metrics(helm: Helm) -> None:
    gateway, prometheus = ({"namespaceSelector": {"matchLabels": {"team": name}}} for name in ("net", "ops"))
    values = {"clients": [gateway], "monitoring": [prometheus]}
    manifests = helm.render(f"networkPolicy={json.dumps(values)}")
    routers = {"podSelector": find(manifests, "Deployment", "shimmy-router")["spec"]["selector"]}
    for name, port, peers in (
        ("shimmy-router", "http", [gateway]),
        ("shimmy-router", "metrics", [prometheus, routers]),
        ("shimmy-operator", "metrics", [prometheus]),
        ("shimmy-meter", "metrics", [prometheus]),
    ):
        rules = find(manifests, "NetworkPolicy", name)["spec"]["ingress"]
        assert [rule["from"] for rule in rules if {"port": port} in rule["ports"]] == [peers]


def test_network_policies_can_be_left_out(helm: Helm) -> None:
    assert not [m for m in helm.render("networkPolicy.enabled=false") if m["kind"] == "NetworkPolicy"]


def _secrets(rule: Manifest) -> bool:
    return "secrets" in rule.get("resources", ())
