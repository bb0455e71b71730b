"""The charts in a real API server: install, upgrade and uninstall."""

import json
import subprocess

import pytest
from tests.helm.charts import CHARTS, NAMESPACE, Helm

from devkit.cluster import Cluster
from devkit.kubectl import Kubectl
from devkit.testing import api_server as api_server
from shimmy_api.kinds import KINDS
from shimmy_operator.reconcile.certificate import API_SERVICE

CRDS = "shimmy-crds"
OPERATOR = "shimmy-operator"


@pytest.fixture
def kubectl(api_server: Cluster) -> Kubectl:
    return Kubectl(api_server.kubeconfig)


def test_both_charts_install_upgrade_and_uninstall(helm: Helm, api_server: Cluster, kubectl: Kubectl) -> None:
    _upgrade(helm, api_server, CRDS)
    _upgrade(helm, api_server, OPERATOR)
    _upgrade(helm, api_server, OPERATOR, "--set", "router.replicas=3")
    assert _replicas(kubectl) == 3
    # Nor does it fall to 1 when the autoscaler takes over, which has not looked yet.
    _upgrade(helm, api_server, OPERATOR, "--set", "router.autoscaling.enabled=true")
    assert _replicas(kubectl) == 3
    kubectl.run("scale", "deployment/shimmy-router", "--replicas=5", "-n", NAMESPACE)
    _upgrade(helm, api_server, OPERATOR, "--set", "router.autoscaling.enabled=true", "--set", "router.accessLog=true")
    assert _replicas(kubectl) == 5

    tenant = "apiVersion: shimmy.dev/v1alpha1\nkind: ShimmyTenant\nmetadata: {name: kept}\nspec: {}\n"
    kubectl.run("apply", "-f", "-", stdin=tenant)
    _run(helm, api_server, "uninstall", OPERATOR)
    _run(helm, api_server, "uninstall", CRDS)
    assert kubectl.get("deployment", "shimmy-router", NAMESPACE) is None
    # With a CRD would go every object of its kind.
    assert kubectl.get("shimmytenant", "kept") is not None

    _upgrade(helm, api_server, CRDS)
    for kind in KINDS:
        assert kubectl.get("crd", f"{kind.plural}.shimmy.dev") is not None


def test_another_provider_of_external_metrics_is_left_alone(helm: Helm, api_server: Cluster, kubectl: Kubectl) -> None:
    other = {"name": API_SERVICE, "labels": {"app.kubernetes.io/part-of": "other"}}
    spec = {"group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 7, "versionPriority": 7}
    service = {"name": "other", "namespace": "default"}
    manifest = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": other}
    kubectl.run("apply", "-f", "-", stdin=json.dumps(manifest | {"spec": spec | {"service": service}}))
    _upgrade(helm, api_server, CRDS)
    _upgrade(helm, api_server, OPERATOR)
    assert _provider(kubectl) == "other"
    assert "come from another provider" in _run(helm, api_server, "get", "notes", OPERATOR)

    kubectl.run("delete", "apiservice", API_SERVICE)
    _upgrade(helm, api_server, OPERATOR)
    assert _provider(kubectl) == "shimmy-meter"
    assert "come from another provider" not in _run(helm, api_server, "get", "notes", OPERATOR)
    # The operator's field, in a later release too.
    kubectl.run("patch", "apiservice", API_SERVICE, "--type=merge", "--patch", '{"spec":{"caBundle":"Y2E="}}')
    _upgrade(helm, api_server, OPERATOR, "--set", "meter.replicas=3")
    found = kubectl.get("apiservice", API_SERVICE)
    assert found is not None
    assert (found["spec"]["service"]["name"], found["spec"]["caBundle"]) == ("shimmy-meter", "Y2E=")

    _run(helm, api_server, "uninstall", OPERATOR)
    assert _provider(kubectl) is None
    _run(helm, api_server, "uninstall", CRDS)


def _provider(kubectl: Kubectl) -> str | None:
    found = kubectl.get("apiservice", API_SERVICE)
    return found["spec"]["service"]["name"] if found else None


def test_the_server_accepts_every_option_and_warns_of_nothing(helm: Helm, kubectl: Kubectl) -> None:
    namespace = f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}-warned\n  labels:\n"
    namespace += "    pod-security.kubernetes.io/warn: restricted\n"
    kubectl.run("apply", "-f", "-", stdin=namespace)
    options = ["--set-json", 'image.pullSecrets=["registry"]', "--set-json", 'router.service.type="NodePort"']
    options += ["--set-json", "router.service.nodePort=30080", "--set-json", 'router.nodeSelector={"disk":"ssd"}']
    options += ["--set-json", 'router.tls={"enabled":true,"secretName":"router-tls","plaintext":true}']
    options += ["--set-json", "router.service.tlsNodePort=30443", "--set-json", "router.autoscaling.enabled=true"]
    options += ["--set-json", 'meter.tls.secretName="mine"']
    text = helm.run("template", "shimmy", str(CHARTS / OPERATOR), "--namespace", f"{NAMESPACE}-warned", *options)
    command = kubectl.command("apply", "--dry-run=server", "--validate=strict", "-f", "-")
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _replicas(kubectl: Kubectl) -> int:
    router = kubectl.get("deployment", "shimmy-router", NAMESPACE)
    assert router is not None
    return int(router["spec"]["replicas"])


def _upgrade(helm: Helm, api_server: Cluster, chart: str, *options: str) -> None:
    _run(helm, api_server, "upgrade", "--install", "--create-namespace", chart, str(CHARTS / chart), *options)


def _run(helm: Helm, api_server: Cluster, *arguments: str) -> str:
    return helm.run(*arguments, "--kubeconfig", str(api_server.kubeconfig), "--namespace", NAMESPACE)
