"""What stands in examples/exposure: an API server takes it, and it leads to what the chart installs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.helm.charts import CHARTS, Helm, Manifest, containers, find

from devkit import gateway_api
from devkit.cluster import Cluster
from devkit.kubectl import Kubectl
from devkit.paths import REPOSITORY
from devkit.testing import api_server as api_server
from shimmy_operator.settings import parse_settings

EXAMPLES = REPOSITORY / "examples" / "exposure"
OBJECTS = ("http-route", "http-route-tls", "ingress")
NAMESPACE = "shimmy-system"
TLS = ("router.tls.enabled=true", 'router.tls.secretName="router-tls"')


def documents(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text()))


def installed(helm: Helm, *values: Path) -> list[Manifest]:
    """The chart with these values files."""
    options = [option for path in values for option in ("--values", str(path))]
    text = helm.run("template", "shimmy", str(CHARTS / "shimmy-operator"), "--namespace", NAMESPACE, *options)
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="module")
def kubectl(api_server: Cluster) -> Iterator[Kubectl]:
    """An API server with the Gateway API and the examples' namespace."""
    found = Kubectl(api_server.kubeconfig)
    folder = str(gateway_api.crds())
    found.run("apply", "--server-side", "-f", folder)
    found.run("wait", "--for=condition=Established", "--timeout=60s", "-f", folder)
    found.run("create", "namespace", NAMESPACE)
    yield found
    found.run("delete", "--wait=false", "-f", folder)


def test_every_example_is_tried() -> None:
    assert {path.stem for path in EXAMPLES.iterdir()} == {*OBJECTS, "load-balancer", "network-policy"}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_api_server_takes_it(kubectl: Kubectl, name: str) -> None:
    kubectl.run("apply", "--dry-run=server", "--validate=strict", "-f", str(EXAMPLES / f"{name}.yaml"))


@pytest.mark.parametrize(("name", "values"), [("http-route", ()), ("http-route-tls", TLS)])
def test_a_route_leads_to_a_port_of_the_routers(helm: Helm, name: str, values: tuple[str, ...]) -> None:
    ports = {port["port"]: port["name"] for port in _service(helm, *values)["spec"]["ports"]}
    route, *policies = documents(name)
    ((backend,),) = (rule["backendRefs"] for rule in route["spec"]["rules"])
    assert backend["port"] in ports
    for policy in policies:
        (target,) = policy["spec"]["targetRefs"]
        assert (target["name"], target["sectionName"]) == (backend["name"], ports[backend["port"]])
        assert policy["spec"]["validation"]["hostname"] == f"{backend['name']}.{NAMESPACE}.svc"


def test_an_ingress_leads_to_a_port_of_the_routers(helm: Helm) -> None:
    service = _service(helm)
    (ingress,) = documents("ingress")
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    assert path["backend"]["service"]["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


def test_behind_a_load_balancer_there_is_nothing_but_https(helm: Helm) -> None:
    manifests = installed(helm, EXAMPLES / "load-balancer.yaml")
    spec = find(manifests, "Service", "shimmy-router")["spec"]
    assert (spec["type"], [port["name"] for port in spec["ports"]]) == ("LoadBalancer", ["https"])
    settings = parse_settings(containers(manifests)["shimmy-operator/operator"]["args"], {})
    assert settings.context.endpoint == "https://llm.example.com/v1"


def test_the_values_of_network_policies_are_those_of_the_chart(helm: Helm) -> None:
    rules = find(installed(helm, EXAMPLES / "network-policy.yaml"), "NetworkPolicy", "shimmy-router")["spec"]["ingress"]
    assert all(rule["from"] for rule in rules)


def _service(helm: Helm, *values: str) -> Manifest:
    return find(helm.render(*values), "Service", "shimmy-router")
