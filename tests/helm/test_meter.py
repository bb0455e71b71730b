"""The metrics server as installed, and what operator and routers need to speak to it."""

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.helm.charts import NAMESPACE, Helm, HelmRefusedError, Manifest, containers, find, pod_specs

from shimmy_api.load import METER_AUDIENCE
from shimmy_meter.__main__ import _parser
from shimmy_operator.reconcile.certificate import API_SERVICE, Certificate
from shimmy_operator.render.certificate import AUTHORITIES, CERTIFICATE, KEY
from shimmy_operator.settings import parse_settings
from shimmy_router.__main__ import _parser as router_parser

NAME = "shimmy-meter"
USERS = ("shimmy-operator", "shimmy-router")


@pytest.fixture
def manifests(helm: Helm) -> list[Manifest]:
    return helm.render()


def meter(manifests: list[Manifest]) -> Manifest:
    return containers(manifests)[f"{NAME}/meter"]


def ports(container: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container["ports"]}


def operator_settings(manifests: list[Manifest]) -> tuple[Certificate | None, dict[str, str]]:
    """Its certificate, and its environment."""
    container = containers(manifests)["shimmy-operator/operator"]
    environment = {entry["name"]: entry["value"] for entry in container.get("env", ())}
    return parse_settings(container["args"], environment).meter_certificate, environment


def test_it_understands_its_arguments(manifests: list[Manifest]) -> None:
    container = meter(manifests)
    given = _parser().parse_args(container["args"])
    assert ports(container) == {"https": given.port, "metrics": given.metrics_port}
    assert str(given.tls_folder) in [mount["mountPath"] for mount in container["volumeMounts"]]
    for probe in ("livenessProbe", "readinessProbe"):
        assert (container[probe]["httpGet"]["port"], container[probe]["httpGet"]["scheme"]) == ("https", "HTTPS")


def test_it_has_time_to_leave(manifests: list[Manifest]) -> None:
    given = _parser().parse_args(meter(manifests)["args"])
    assert pod_specs(manifests)[NAME].get("terminationGracePeriodSeconds", 30) > given.leave_seconds + 5


def test_one_is_always_there(manifests: list[Manifest]) -> None:
    deployment = find(manifests, "Deployment", NAME)["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    budget = find(manifests, "PodDisruptionBudget", NAME)["spec"]
    assert (budget["maxUnavailable"], budget["selector"]) == (1, deployment["selector"])
    keys = [c["topologyKey"] for c in deployment["template"]["spec"]["topologySpreadConstraints"]]
    assert "kubernetes.io/hostname" in keys


def test_the_operator_keeps_the_certificate_that_is_mounted(manifests: list[Manifest]) -> None:
    certificate, _ = operator_settings(manifests)
    (volume,) = pod_specs(manifests)[NAME]["volumes"]
    assert certificate == Certificate(NAMESPACE, volume["secret"]["secretName"], issued=True)
    # The next one, with its key, stays in the Secret.
    assert {item["key"] for item in volume["secret"]["items"]} == {CERTIFICATE, KEY}


def test_a_certificate_of_ones_own_is_left_alone(helm: Helm) -> None:
    manifests = helm.render('meter.tls.secretName="mine"')
    assert operator_settings(manifests)[0] == Certificate(NAMESPACE, "mine", issued=False)
    assert pod_specs(manifests)[NAME]["volumes"][0]["secret"]["secretName"] == "mine"
    for name in USERS:
        assert authorities(manifests, name)["secret"]["name"] == "mine"


def test_rendering_twice_gives_the_same(helm: Helm, manifests: list[Manifest]) -> None:
    assert helm.render() == manifests
    assert not [manifest for manifest in manifests if manifest["kind"] == "Secret"]


def test_the_operator_reads_from_any_replica_that_is_ready(manifests: list[Manifest]) -> None:
    certificate, environment = operator_settings(manifests)
    url = urlsplit(environment["SHIMMY_METER_URL"])
    service = find(manifests, "Service", NAME)
    assert url.hostname == f"{service['metadata']['name']}.{NAMESPACE}.svc"
    assert certificate is not None
    assert url.hostname in certificate.hosts
    assert port_of(service, url.port or 443) == "https"
    assert "publishNotReadyAddresses" not in service["spec"]
    mounted(manifests, "shimmy-operator/operator", environment["SHIMMY_METER_FOLDER"])


def test_routers_tell_every_replica_also_those_that_are_not_ready(manifests: list[Manifest]) -> None:
    given = router_parser().parse_args(containers(manifests)["shimmy-router/agent"]["args"])
    url = urlsplit(given.meter)
    service = find(manifests, "Service", str(url.hostname).partition(".")[0])
    assert url.hostname == f"{service['metadata']['name']}.{NAMESPACE}.svc"
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    # Of a headless Service the pods' own ports are reached.
    assert url.port == ports(meter(manifests))[port_of(service, int(url.port or 0))]
    mounted(manifests, "shimmy-router/agent", str(given.meter_folder))


@pytest.mark.parametrize("name", USERS)
def test_who_speaks_to_it_shows_a_token_for_it_alone(manifests: list[Manifest], name: str) -> None:
    (token,) = [s["serviceAccountToken"] for s in sources(manifests, name) if "serviceAccountToken" in s]
    assert (token["path"], token["audience"]) == ("token", METER_AUDIENCE)
    secret = authorities(manifests, name)["secret"]
    # At the first start the operator has not made it.
    assert secret["optional"] is True
    assert secret["items"] == [{"key": AUTHORITIES, "path": "ca.crt"}]


def test_the_api_server_asks_it(manifests: list[Manifest]) -> None:
    spec = find(manifests, "APIService", API_SERVICE)["spec"]
    target = spec["service"]
    assert target["namespace"] == NAMESPACE
    assert port_of(find(manifests, "Service", target["name"]), target["port"]) == "https"
    assert find(manifests, "APIService", API_SERVICE)["metadata"]["labels"]["app.kubernetes.io/part-of"] == "shimmy"


def test_another_provider_of_external_metrics_can_be_left_alone(helm: Helm) -> None:
    def kinds(value: str) -> set[str]:
        return {m["kind"] for m in helm.render(f'meter.externalMetrics="{value}"')}

    assert "APIService" in kinds("always")
    assert "APIService" not in kinds("never")


def test_prometheus_reads_the_models_own_labels(helm: Helm) -> None:
    monitor = find(helm.render("serviceMonitor.enabled=true"), "ServiceMonitor", NAME)
    assert monitor["spec"]["endpoints"] == [{"port": "metrics", "honorLabels": True}]
    services = [m["metadata"]["name"] for m in helm.render() if m["kind"] == "Service" and selected(monitor, m)]
    assert services == [NAME]


def test_all_of_it_can_be_left_out(helm: Helm) -> None:
    manifests = helm.render("meter.enabled=false", "serviceMonitor.enabled=true")
    assert not [m for m in manifests if NAME in m["metadata"]["name"] or m["kind"] == "APIService"]
    assert not [m for m in manifests if m["metadata"]["name"].startswith("shimmy-load-")]
    assert operator_settings(manifests) == (None, {})
    assert router_parser().parse_args(containers(manifests)["shimmy-router/agent"]["args"]).meter is None
    for name in USERS:
        assert "meter" not in [volume["name"] for volume in pod_specs(manifests)[name].get("volumes", ())]


def test_a_typing_error_is_refused(helm: Helm) -> None:
    with pytest.raises(HelmRefusedError):
        helm.render('meter.tls.secret="mine"')


def port_of(service: Manifest, number: int) -> str:
    """Name of the pods' port that a port of a Service leads to."""
    (found,) = [port["targetPort"] for port in service["spec"]["ports"] if port["port"] == number]
    return str(found)


def sources(manifests: list[Manifest], name: str) -> list[Manifest]:
    """What the volume is made of by which a pod speaks to the metrics server."""
    (volume,) = [volume for volume in pod_specs(manifests)[name]["volumes"] if volume["name"] == "meter"]
    found: list[Manifest] = volume["projected"]["sources"]
    return found


def authorities(manifests: list[Manifest], name: str) -> Manifest:
    (found,) = [source for source in sources(manifests, name) if "secret" in source]
    return found


def mounted(manifests: list[Manifest], container: str, folder: str) -> None:
    (mount,) = [m for m in containers(manifests)[container]["volumeMounts"] if m["name"] == "meter"]
    assert PurePosixPath(mount["mountPath"]) == PurePosixPath(folder)


def selected(monitor: Manifest, service: Manifest) -> Any:
    return monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
