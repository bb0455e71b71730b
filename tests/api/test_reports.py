"""The router's agent tells the metrics server what it knows of models on whose pods load decides."""

from collections.abc import Callable, Iterator

import pytest
from tests.api import meters, objects, process
from tests.api.agents import agent
from tests.api.meters import OPERATOR, ROUTER
from tests.api.objects import Manifest
from tests.api.process import NAMESPACE

from devkit.cluster import Cluster
from devkit.paths import REPOSITORY
from devkit.waiting import until
from shimmy_api import names
from shimmy_api.load import DeploymentTotal, LoadTotals

TENANT = "reported"
HOME = names.tenant_namespace(TENANT)
SCALED, LATER = (names.serving(name, "tiny") for name in ("scaled", "later"))

Told = Callable[[], dict[str, DeploymentTotal]]


@pytest.fixture(scope="module")
def fleet(installed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With a tenant that has a model, an instance that load decides on, and one that it does not."""
    installed.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "operator/shimmy_router/rbac.yaml"))
    with process.running(installed, tmp_path_factory.mktemp("reports") / "operator.log"):
        objects.wait_reason(installed, objects.create(installed, objects.tenant(TENANT)), "Provisioned")
        objects.create(installed, objects.model(HOME, "tiny", "pvc://models/tiny.gguf"))
        objects.create(installed, scaled("scaled"))
        objects.create(installed, objects.instance(HOME, "fixed", "tiny"))
        yield installed


@pytest.fixture(scope="module")
def told(fleet: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """What the metrics server has heard from an agent, by Deployment."""
    folder = tmp_path_factory.mktemp("told")
    with meters.meters(fleet, folder) as running:
        options = running.options(running.mount(ROUTER))
        token = running.token(OPERATOR)

        def totals() -> dict[str, DeploymentTotal]:
            code, text = running.loads(token)
            assert code == 200, text
            found = LoadTotals.model_validate_json(text).totals
            return {total.deployment: total for total in found if total.namespace == HOME}

        with agent(fleet, NAMESPACE, "shimmy-router", folder / "agent", *options):
            until(totals, "the agent's first report", seconds=60)
            yield totals


def scaled(name: str) -> Manifest:
    return objects.instance(HOME, name, "tiny", autoscaling={"minReplicas": 0, "maxReplicas": 2})


def test_only_what_load_decides_on_is_told_also_without_pods_and_requests(told: Told) -> None:
    assert told() == {SCALED: DeploymentTotal(namespace=HOME, deployment=SCALED, peak=0)}


def test_an_instance_that_comes_is_told_too(told: Told, fleet: Cluster) -> None:
    objects.create(fleet, scaled("later"))
    until(lambda: LATER in told(), "a further instance is told", seconds=15)
