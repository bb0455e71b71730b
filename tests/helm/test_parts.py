"""Operator and router as installed."""

import json
from pathlib import Path

import pytest
from tests.helm.charts import NAMESPACE, Helm, HelmRefusedError, Manifest, containers, find

from devkit.pki import Authority
from shimmy_api import names
from shimmy_operator.render.context import FetchNetwork
from shimmy_operator.settings import parse_settings


def test_there_is_never_more_than_one_operator(helm: Helm) -> None:
    spec = find(helm.render(), "Deployment", "shimmy-operator")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_the_operator_understands_its_arguments(helm: Helm) -> None:
    egress = '[{"cidr":"10.20.0.0/16"},{"cidr":"2001:db8::/32","ports":[80,8443]}]'
    manifests = helm.render(f"fetch.egress={egress}", "router.service.port=8000", "operator.resyncSeconds=30")
    container = containers(manifests)["shimmy-operator/operator"]
    settings = parse_settings(container["args"], {})
    assert settings.context.router_namespace == NAMESPACE
    assert settings.context.endpoint == f"http://shimmy-router.{NAMESPACE}.svc:8000/v1"
    assert [(str(block.network), block.ports) for block in settings.context.fetch_egress] == [
        ("10.20.0.0/16", (443,)),
        ("2001:db8::/32", (80, 8443)),
    ]
    assert settings.resync_seconds == 30
    assert _ports(container) == {"metrics": settings.metrics_port, "health": settings.health_port}


def test_the_operator_is_told_how_jobs_fetch(helm: Helm, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "private").files.certificate.read_text()
    manifests = helm.render(
        'fetch.proxy={"https":"http://192.0.2.7:3128","noProxy":"minio.example"}',
        'fetch.s3={"endpoint":"https://minio.example:9000","region":"eu-west-7"}',
        'fetch.huggingFaceEndpoint="https://hub.example"',
        "fetch.offline=true",
        f"fetch.caBundle={json.dumps(authority)}",
    )
    pod = find(manifests, "Deployment", "shimmy-operator")["spec"]["template"]["spec"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    (volume,) = pod["volumes"]
    (tmp_path / "ca.crt").write_text(find(manifests, "ConfigMap", volume["configMap"]["name"])["data"]["ca.crt"])
    arguments = [part.replace(mount["mountPath"], str(tmp_path)) for part in pod["containers"][0]["args"]]
    assert parse_settings(arguments, {}).context.fetch_network == FetchNetwork(
        https_proxy="http://192.0.2.7:3128",
        no_proxy="minio.example",
        ca_bundle=authority,
        offline=True,
        hub_endpoint="https://hub.example",
        s3_endpoint="https://minio.example:9000",
        s3_region="eu-west-7",
    )


def test_other_authorities_restart_the_operator(helm: Helm, tmp_path: Path) -> None:
    def annotations(name: str) -> Manifest:
        authority = json.dumps(Authority(tmp_path, name).files.certificate.read_text())
        deployment = find(helm.render(f"fetch.caBundle={authority}"), "Deployment", "shimmy-operator")
        found: Manifest = deployment["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations("one") == annotations("one")
    assert annotations("one") != annotations("other")


def test_credentials_in_a_proxys_url_are_refused(helm: Helm) -> None:
    with pytest.raises(HelmRefusedError):
        helm.render('fetch.proxy.https="http://user:secret@proxy.example"')


def test_the_endpoint_in_status_is_the_routers_service(helm: Helm) -> None:
    manifests = helm.render()
    settings = parse_settings(containers(manifests)["shimmy-operator/operator"]["args"], {})
    service = find(manifests, "Service", "shimmy-router")
    assert service["spec"]["ports"][0]["port"] == 80
    assert settings.context.endpoint == f"http://{service['metadata']['name']}.{NAMESPACE}.svc/v1"


def test_the_engines_let_the_router_in(helm: Helm) -> None:
    template = find(helm.render(), "Deployment", "shimmy-router")["spec"]["template"]
    assert template["metadata"]["labels"][names.LABEL_ROUTER] == "true"


def test_the_agent_outlives_envoy(helm: Helm) -> None:
    pod = find(helm.render(), "Deployment", "shimmy-router")["spec"]["template"]["spec"]
    (agent,) = [container for container in pod["initContainers"] if container["name"] == "agent"]
    assert agent["restartPolicy"] == "Always"
    assert [container["name"] for container in pod["containers"]] == ["envoy"]


def test_a_router_has_time_to_drain(helm: Helm) -> None:
    pod = find(helm.render("router.drainSeconds=90"), "Deployment", "shimmy-router")["spec"]["template"]["spec"]
    assert "--seconds=90" in pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > 90


def test_a_rollout_or_a_drained_node_takes_one_router_at_a_time(helm: Helm) -> None:
    manifests = helm.render("router.replicas=3")
    deployment = find(manifests, "Deployment", "shimmy-router")["spec"]
    assert deployment["replicas"] == 3
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    budget = find(manifests, "PodDisruptionBudget", "shimmy-router")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["selector"]


def test_services_lead_to_ports_that_their_pods_name(helm: Helm) -> None:
    manifests = helm.render()
    deployments = [m for m in manifests if m["kind"] == "Deployment"]
    for service in (m for m in manifests if m["kind"] == "Service"):
        selector = service["spec"]["selector"].items()
        (target,) = [d for d in deployments if selector <= d["spec"]["template"]["metadata"]["labels"].items()]
        pod = target["spec"]["template"]["spec"]
        named = {name for c in [*pod.get("initContainers", []), *pod["containers"]] for name in _ports(c)}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


def test_a_node_port_can_be_fixed(helm: Helm) -> None:
    manifests = helm.render('router.service.type="NodePort"', "router.service.nodePort=30080")
    spec = find(manifests, "Service", "shimmy-router")["spec"]
    assert spec["type"] == "NodePort"
    assert spec["ports"][0]["nodePort"] == 30080


def test_prometheus_finds_both_where_it_is_asked_for(helm: Helm) -> None:
    assert not [m for m in helm.render() if m["kind"] == "ServiceMonitor"]
    manifests = helm.render("serviceMonitor.enabled=true", 'serviceMonitor.labels={"release":"prometheus"}')
    services = [m for m in manifests if m["kind"] == "Service"]
    for monitor in (m for m in manifests if m["kind"] == "ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"].items()
        named = {
            port["name"]
            for service in services
            if selector <= service["metadata"]["labels"].items()
            for port in service["spec"]["ports"]
        }
        assert monitor["spec"]["endpoints"][0]["port"] in named
        assert monitor["metadata"]["labels"]["release"] == "prometheus"


def _ports(container: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container.get("ports", [])}
