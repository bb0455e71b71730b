"""A tenant on the simulated cluster, with the operator, the metrics server and routers that tell loads."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.api import objects, process
from tests.api.meters import OPERATOR, Meters, meters
from tests.api.objects import Manifest
from tests.api.process import NAMESPACE
from tests.cluster.routers import Routers

from devkit.cluster import Cluster
from devkit.paths import REPOSITORY
from devkit.waiting import until
from shimmy_api import names

TENANT: Final = "paced"
HOME: Final = names.tenant_namespace(TENANT)
MODEL: Final = "tiny"
GPUS: Final = 3
"""What the tenant's quota has."""
SYNC_SECONDS: Final = 15
"""Between two rounds of the autoscaler."""
PEAK_SECONDS: Final = 30
"""For which the metrics server holds a peak."""


class Instance:
    """One whose number of pods load decides."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self.deployment = f"/apis/apps/v1/namespaces/{HOME}/deployments/{names.serving(name, MODEL)}"
        self.autoscaler = (
            f"/apis/autoscaling/v2/namespaces/{HOME}/horizontalpodautoscalers/{names.serving(name, MODEL)}"
        )
        self.path = f"{objects.GROUP}/namespaces/{HOME}/shimmyinstances/{name}"
        self._cluster = cluster

    @property
    def replicas(self) -> int:
        return int(self._cluster.client.json(self.deployment)["spec"]["replicas"])

    @property
    def status(self) -> Manifest:
        found: Manifest = self._cluster.client.json(self.path).get("status", {})
        return found

    @property
    def model(self) -> Manifest:
        """What the status says of the model."""
        return next(iter(self.status.get("models", ())), {"state": ""})

    def condition(self, kind: str) -> Manifest | None:
        return next((one for one in self.status.get("conditions", ()) if one["type"] == kind), None)

    def decisions(self) -> list[tuple[int, int, str]]:
        return [(one["before"], one["after"], one["reason"]) for one in self._decisions()]

    def messages(self) -> list[str]:
        """Of the decisions."""
        return [one["message"] for one in self._decisions()]

    def _decisions(self) -> list[Manifest]:
        return list(self.status.get("autoscaling", {}).get("decisions") or ())

    def pods(self) -> dict[str, Manifest]:
        """Those that stay, by name."""
        label = f"{names.LABEL_INSTANCE_OF}={self.name}".replace("/", "%2F").replace("=", "%3D")
        items = self._cluster.client.json(f"/api/v1/namespaces/{HOME}/pods?labelSelector={label}")["items"]
        return {pod["metadata"]["name"]: pod for pod in items if "deletionTimestamp" not in pod["metadata"]}

    def wait(self, replicas: int, seconds: float) -> float:
        """Wait for a number of pods that are wanted; returns how long that took."""
        began = time.monotonic()
        until(lambda: self.replicas == replicas, f"{self.name} wants {replicas} pods", seconds=seconds)
        return time.monotonic() - began

    def wait_state(self, state: str, seconds: float = objects.SECONDS) -> Manifest:
        """Wait for a state of the model; returns what the status then says of it."""
        return until(
            lambda: found if (found := self.model)["state"] == state else None,
            f"{self.name} is {state}",
            seconds=seconds,
        )

    def wait_ready(self, replicas: int, seconds: float = objects.SECONDS) -> None:
        """Wait for a number of pods that are ready."""
        until(lambda: self.model.get("readyReplicas") == replicas, f"{self.name} has {replicas} pods", seconds=seconds)

    def wait_condition(self, kind: str, message: str) -> None:
        """Wait until a condition says something."""
        seen: list[Manifest | None] = []

        def look() -> bool:
            seen[:] = [self.condition(kind)]
            return seen[0] is not None and seen[0]["message"] == message

        try:
            until(look, f"{self.name} says: {message}", seconds=objects.SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"{error}; it has {seen}") from None

    def wait_decision(self, *either: tuple[int, int, str]) -> None:
        until(lambda: set(either) & {*self.decisions()}, f"one of {either} is told", seconds=objects.SECONDS)


class Operated:
    """The tenant, and what is around it."""

    def __init__(self, cluster: Cluster, running: Meters, routers: Routers, log: Path) -> None:
        self.cluster = cluster
        self.meters = running
        self.routers = routers
        self.log = log
        """The operator's."""

    @contextmanager
    def instance(self, name: str, autoscaling: Manifest, **spec: Any) -> Iterator[Instance]:
        """An instance that serves the model, without load at first."""
        made = objects.create(self.cluster, objects.instance(HOME, name, MODEL, autoscaling=autoscaling, **spec))
        self.routers.loads[name] = 0
        found = Instance(self.cluster, name)
        try:
            until(lambda: self.cluster.client.find(found.autoscaler), f"{name} is scaled", seconds=objects.SECONDS)
            yield found
        finally:
            del self.routers.loads[name]
            self.routers.pods.pop(name, None)
            self.cluster.client.json(objects.path(made), "DELETE")
            until(lambda: not found.pods(), f"{name} is gone", seconds=objects.SECONDS)


@contextmanager
def operated(cluster: Cluster, folder: Path) -> Iterator[Operated]:
    """Install and run everything."""
    _install(cluster)
    with meters(cluster, folder) as running:
        (folder / "token").write_text(running.token(OPERATOR))
        url = f"https://{running.host}:{running.ports[0]}"
        log = folder / "operator.log"
        with process.running(cluster, log, "--meter-url", url, "--meter-folder", str(folder)):
            routers = Routers(cluster, running, HOME, MODEL)
            routers.join()
            routers.start()
            try:
                yield Operated(cluster, running, routers, log)
            finally:
                routers.end()


def _install(cluster: Cluster) -> None:
    """The operator's needs, and a tenant with GPUs and a model that is checked."""
    crds = str(REPOSITORY / "crds")
    cluster.kubectl("apply", "--server-side", "-f", crds)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
    for name in (NAMESPACE, HOME):
        labels = {names.LABEL_TENANT: TENANT} if name == HOME else {}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        cluster.kubectl("apply", "-f", "-", standard_input=json.dumps(namespace))
    cluster.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "operator/shimmy_operator/rbac.yaml"))
    objects.create(cluster, objects.tenant(TENANT, quota={"gpus": GPUS}))
    objects.checked_model(cluster, HOME, MODEL)
    bound = "--for=jsonpath={.status.phase}=Bound"
    cluster.kubectl("wait", bound, "--timeout=30s", "-n", HOME, "persistentvolumeclaim/models")
