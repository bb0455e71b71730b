"""A whole fleet on a real node: images, charts, tenant, model and instance of the demo, real Shimmy."""

import os
from collections.abc import Iterator

import pytest
import yaml
from tests.e2e.certificates import SECRET, Certificates
from tests.e2e.tenants import write_tenant

from devkit import cluster, images, models
from devkit.demo.fleet import SYSTEM_NAMESPACE, Fleet
from devkit.kubectl import Kubectl

IMAGES = (
    "shimmy-operator",
    "shimmy-meter",
    "shimmy-router",
    "shimmy-engine-llama",
    "shimmy-engine-airframe-software",
)
VALUES = (
    "engine.repositories.airframe=shimmy-engine-airframe-software",
    "router.tls.enabled=true",
    f"router.tls.secretName={SECRET}",
    "router.tls.plaintext=true",
)


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    archives = [built.archive for built in images.build(IMAGES)]
    started = cluster.start("node", f"test-e2e-{os.getpid()}", owned=True)
    cluster.require_ours(started.kubeconfig)
    try:
        started.load(archives)
        yield Kubectl(started.kubeconfig)
    finally:
        started.stop()


@pytest.fixture(scope="session")
def certificates(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}
    kubectl.apply(yaml.safe_dump(namespace))
    found = Certificates(kubectl, tmp_path_factory.mktemp("pki"))
    found.put("first")
    return found


@pytest.fixture(scope="session")
def fleet(kubectl: Kubectl, certificates: Certificates) -> Fleet:  # noqa: ARG001 - routers start with a certificate
    found = Fleet(kubectl)
    found.install(*VALUES)
    found.serve(models.smollm2())
    return found


@pytest.fixture(scope="session")
def url(fleet: Fleet) -> Iterator[str]:
    """Base URL of the OpenAI API."""
    with fleet.router() as forwarded:
        yield forwarded


@pytest.fixture(scope="session")
def other(fleet: Fleet) -> str:
    """A second tenant, with a key; its namespace."""
    return write_tenant(fleet, "other", "default")
