"""The operator keeps the metrics server's certificate, with its own rights and no others."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.api import objects, process
from tests.api.process import NAMESPACE

from devkit.cluster import Cluster
from devkit.waiting import until
from shimmy_api import names

_API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
_API_SERVICE = f"{_API_SERVICES}/v1beta1.external.metrics.k8s.io"
_SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/shimmy-meter-tls"
_SECONDS = 10


@pytest.fixture
def cluster(installed: Cluster) -> Iterator[Cluster]:
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.external.metrics.k8s.io", "labels": {"app.kubernetes.io/part-of": "shimmy"}},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": "shimmy-meter", "namespace": NAMESPACE, "port": 443},
        },
    }
    installed.client.json(_API_SERVICES, "POST", service)
    try:
        yield installed
    finally:
        installed.client.json(_API_SERVICE, "DELETE")


def test_a_certificate_is_made_and_everybody_knows_whom_to_trust(cluster: Cluster, tmp_path: Path) -> None:
    def trusted() -> str | None:
        found: str | None = cluster.client.json(_API_SERVICE)["spec"].get("caBundle")
        return found

    def secret() -> Any:
        return cluster.client.json(_SECRET)

    flags = ("--meter-tls", "shimmy-meter-tls")
    with process.running(cluster, tmp_path / "operator.log", *flags):
        authorities = until(trusted, "the API server is told whom to trust", seconds=_SECONDS)
    made = secret()
    assert (made["type"], made["data"]["ca.crt"]) == ("kubernetes.io/tls", authorities)
    shown = x509.load_pem_x509_certificate(base64.b64decode(made["data"]["tls.crt"]))
    shown.verify_directly_issued_by(x509.load_pem_x509_certificate(base64.b64decode(authorities)))

    # A tenant's own router finds it beside its keys.
    tenant = objects.create(cluster, objects.tenant("trusting", router="Dedicated"))
    mirror = f"/api/v1/namespaces/{names.tenant_namespace('trusting')}/secrets/{names.mirrored_keys_secret('trusting')}"
    with process.running(cluster, tmp_path / "operator.log", *flags):
        objects.wait_reason(cluster, tenant, "Provisioned")
        entry = names.MIRRORED_METER_ENTRY
        beside = until(lambda: cluster.client.json(mirror)["data"].get(entry), "the authorities", seconds=_SECONDS)
    assert beside == authorities

    # A restart finds the certificate, and what somebody has changed.
    spoiled = {"spec": {"caBundle": None}}
    cluster.client.json(_API_SERVICE, "PATCH", spoiled, "application/merge-patch+json")
    with process.running(cluster, tmp_path / "operator.log", *flags):
        assert until(trusted, "the API server is told again", seconds=_SECONDS) == authorities
    assert secret()["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
