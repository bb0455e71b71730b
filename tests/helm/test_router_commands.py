"""The router's containers run commands that the router has, on the files and ports that the chart gives them."""

import pytest
from tests.helm.charts import Helm, Manifest, containers

from shimmy_router.__main__ import _parser

RUN = "/run/shimmy"


@pytest.fixture
def router(helm: Helm) -> dict[str, Manifest]:
    manifests = helm.render("router.maxConnections=7", "router.drainSeconds=90")
    return {name.partition("/")[2]: c for name, c in containers(manifests).items() if name.startswith("shimmy-router/")}


def test_the_router_understands_its_arguments(router: dict[str, Manifest]) -> None:
    bootstrap = _parser().parse_args(router["bootstrap"]["args"])
    agent = _parser().parse_args(router["agent"]["args"])
    drain = _parser().parse_args(router["envoy"]["lifecycle"]["preStop"]["exec"]["command"][1:])
    assert bootstrap.max_connections == 7
    assert drain.seconds == 90
    assert {str(given.run) for given in (bootstrap, agent, drain)} == {RUN}
    assert _port(router["envoy"], "http") == bootstrap.port
    assert _port(router["agent"], "metrics") == agent.metrics_port


def test_the_router_understands_its_arguments_for_tls(helm: Helm) -> None:
    manifests = helm.render("router.tls.enabled=true", 'router.tls.secretName="router-tls"')
    found = containers(manifests)
    bootstrap = _parser().parse_args(found["shimmy-router/bootstrap"]["args"])
    envoy = found["shimmy-router/envoy"]
    assert str(bootstrap.tls_folder) in [mount["mountPath"] for mount in envoy["volumeMounts"]]
    assert _port(envoy, "https") == bootstrap.tls_port
    assert not bootstrap.plaintext


def test_requests_are_logged_only_if_that_is_asked_for(helm: Helm, router: dict[str, Manifest]) -> None:
    assert not _parser().parse_args(router["bootstrap"]["args"]).access_log
    logging = containers(helm.render("router.accessLog=true"))["shimmy-router/bootstrap"]
    assert _parser().parse_args(logging["args"]).access_log


def test_all_share_the_folder_that_the_bootstrap_is_written_to(router: dict[str, Manifest]) -> None:
    for container in router.values():
        assert RUN in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert f"{RUN}/envoy.json" in router["envoy"]["args"]


def test_the_agent_learns_its_namespace_from_its_pod(router: dict[str, Manifest]) -> None:
    (entry,) = [entry for entry in router["agent"]["env"] if entry["name"] == "SHIMMY_NAMESPACE"]
    assert entry["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def _port(container: Manifest, name: str) -> int:
    (port,) = [port["containerPort"] for port in container["ports"] if port["name"] == name]
    return int(port)
