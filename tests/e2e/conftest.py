"""A whole fleet on a real node: images, charts, tenant, model and instance of the demo, real Shimmy."""

import os
from collections.abc import Iterator

import pytest

from devkit import cluster, images, models
from devkit.demo.fleet import Fleet
from devkit.kubectl import Kubectl

IMAGES = ("shimmy-operator", "shimmy-router", "shimmy-engine-llama", "shimmy-engine-airframe-software")


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    archives = [built.archive for built in images.build(IMAGES)]
    model = models.smollm2()
    started = cluster.start("node", f"test-e2e-{os.getpid()}", owned=True)
    cluster.require_ours(started.kubeconfig)
    try:
        started.load(archives)
        found = Fleet(Kubectl(started.kubeconfig))
        found.install("engine.repositories.airframe=shimmy-engine-airframe-software")
        found.serve(model)
        yield found
    finally:
        started.stop()


@pytest.fixture(scope="session")
def url(fleet: Fleet) -> Iterator[str]:
    """Base URL of the OpenAI API."""
    with fleet.router() as forwarded:
        yield forwarded
