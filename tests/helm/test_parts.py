"""Operator and router as installed; test_meter.py has the metrics server."""

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
    (volume,) = [volume for volume in pod["volumes"] if "configMap" in volume]
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == volume["name"]]
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


def test_with_tls_clients_are_told_of_https_and_find_nothing_else(helm: Helm) -> None:
    manifests = helm.render("router.tls.enabled=true", 'router.tls.secretName="router-tls"')
    settings = parse_settings(containers(manifests)["shimmy-operator/operator"]["args"], {})
    assert settings.context.endpoint == f"https://shimmy-router.{NAMESPACE}.svc/v1"
    (port,) = find(manifests, "Service", "shimmy-router")["spec"]["ports"]
    assert (port["name"], port["port"]) == ("https", 443)
    envoy = containers(manifests)["shimmy-router/envoy"]
    assert _ports(envoy) == {"https": 8443}
    assert envoy["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "https", "scheme": "HTTPS"}


def test_plain_http_can_stay_beside_tls(helm: Helm) -> None:
    values = '{"enabled":true,"secretName":"router-tls","plaintext":true}'
    manifests = helm.render(f"router.tls={values}", "router.service.port=8000", "router.service.tlsPort=8001")
    ports = {port["name"]: port["port"] for port in find(manifests, "Service", "shimmy-router")["spec"]["ports"]}
    assert ports == {"http": 8000, "https": 8001}
    assert _ports(containers(manifests)["shimmy-router/envoy"]) == {"http": 8080, "https": 8443}
    allowed = find(manifests, "NetworkPolicy", "shimmy-router")["spec"]["ingress"][0]["ports"]
    assert {port["port"] for port in allowed} >= {"http", "https"}


def test_the_certificate_is_a_mounted_secret_that_only_envoy_sees(helm: Helm) -> None:
    manifests = helm.render("router.tls.enabled=true", 'router.tls.secretName="router-tls"')
    pod = find(manifests, "Deployment", "shimmy-router")["spec"]["template"]["spec"]
    (volume,) = [volume for volume in pod["volumes"] if "secret" in volume]
    assert volume["secret"]["secretName"] == "router-tls"
    mounts = {
        (name, mount["mountPath"], mount.get("subPath"))
        for name, container in containers(manifests).items()
        for mount in container.get("volumeMounts", [])
        if name.startswith("shimmy-router/") and mount["name"] == volume["name"]
    }
    # The kubelet never changes what is mounted by a subPath.
    assert mounts == {("shimmy-router/envoy", "/etc/shimmy/tls", None)}


def test_tenants_can_be_told_another_address(helm: Helm) -> None:
    manifests = helm.render('router.endpoint="https://llm.example.com/v1"')
    settings = parse_settings(containers(manifests)["shimmy-operator/operator"]["args"], {})
    assert settings.context.endpoint == "https://llm.example.com/v1"


def test_a_load_balancer_can_be_chosen_and_closed_to_strangers(helm: Helm) -> None:
    values = '{"type":"LoadBalancer","loadBalancerClass":"example.com/internal","externalTrafficPolicy":"Local",'
    values += '"loadBalancerSourceRanges":["10.0.0.0/8"]}'
    spec = find(helm.render(f"router.service={values}"), "Service", "shimmy-router")["spec"]
    assert spec["loadBalancerClass"] == "example.com/internal"
    assert spec["loadBalancerSourceRanges"] == ["10.0.0.0/8"]
    assert spec["externalTrafficPolicy"] == "Local"


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


def test_an_autoscaler_owns_the_number_of_routers(helm: Helm) -> None:
    values = '{"enabled":true,"minReplicas":3,"maxReplicas":7,"targetCPU":60}'
    manifests = helm.render(f"router.autoscaling={values}")
    deployment = find(manifests, "Deployment", "shimmy-router")
    assert "replicas" not in deployment["spec"]
    spec = find(manifests, "HorizontalPodAutoscaler", "shimmy-router")["spec"]
    assert spec["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 7)
    (metric,) = spec["metrics"]
    assert metric["containerResource"]["container"] in [
        container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]
    ]
    assert metric["containerResource"]["target"] == {"type": "Utilization", "averageUtilization": 60}


def test_without_an_autoscaler_there_is_none(helm: Helm) -> None:
    assert not [m for m in helm.render() if m["kind"] == "HorizontalPodAutoscaler"]


def test_an_autoscaler_without_a_cpu_request_is_refused(helm: Helm) -> None:
    with pytest.raises(HelmRefusedError, match=r"router\.envoy\.resources\.requests\.cpu"):
        helm.render("router.autoscaling.enabled=true", 'router.envoy.resources={"requests":null,"limits":null}')


def test_routers_are_spread_over_zones_and_nodes(helm: Helm) -> None:
    deployment = find(helm.render(), "Deployment", "shimmy-router")["spec"]
    constraints = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert [c["topologyKey"] for c in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for constraint in constraints:
        assert constraint["labelSelector"] == deployment["selector"]
        # On one node too, a router must start.
        assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"


@pytest.mark.parametrize(
    ("values", "threads"),
    [
        ("{}", "2"),
        ('{"resources":{"limits":{"cpu":"3500m"}}}', "4"),
        ('{"resources":{"limits":{"cpu":1}}}', "1"),
        ('{"resources":{"limits":{"cpu":"1.5"}}}', "2"),
        ('{"resources":{"limits":{"cpu":"100m"}}}', "1"),
        ('{"concurrency":5,"resources":{"limits":{"cpu":2}}}', "5"),
    ],
)
def test_envoy_has_as_many_threads_as_it_may_use_cpus(helm: Helm, values: str, threads: str) -> None:
    arguments = containers(helm.render(f"router.envoy={values}"))["shimmy-router/envoy"]["args"]
    assert arguments[arguments.index("--concurrency") + 1] == threads


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


def test_prometheus_finds_all_where_it_is_asked_for(helm: Helm) -> None:
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
