"""Tier helm: the rendered charts."""

import pytest
from tests.helm.charts import Helm

from devkit.binaries import ensure


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm(ensure("helm"))
