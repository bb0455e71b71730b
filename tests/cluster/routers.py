"""Two routers that tell loads and hold requests, as agents do; there is no Envoy and no client."""

import threading
from typing import Any, Final

from tests.api import objects
from tests.api.agents import identity, rights
from tests.api.meters import Meters
from tests.api.process import NAMESPACE

from devkit.cluster import Cluster
from devkit.cluster.simulated import is_ready
from devkit.waiting import until
from shimmy_api import names
from shimmy_api.load import DeploymentLoad, LoadReport, PodLoad

ROUTERS: Final = ("router-a", "router-b")
_HOLDING: Final = frozenset({"AtZero", "Waking", "Idle"})


class Routers:
    """They tell every second what the instances of one namespace, each of one model, have to do."""

    def __init__(self, cluster: Cluster, running: Meters, home: str, model: str) -> None:
        self.loads: dict[str, int] = {}
        """Requests by instance; ready pods run them in equal parts, and without any, a router holds them."""
        self.pods: dict[str, dict[str, int]] = {}
        """Requests by instance and pod, where they are not spread equally."""
        self._cluster = cluster
        self._meters = running
        self._home = home
        self._model = model
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def join(self) -> None:
        """Have pods."""
        for name in ROUTERS:
            container = {"name": "envoy", "image": "router"}
            metadata = {"name": name, "namespace": NAMESPACE}
            labels = {names.LABEL_ROUTER: "true", names.LABEL_PART_OF: names.PART_OF}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"labels": labels}}
            objects.create(self._cluster, pod | {"spec": {"containers": [container]}})

    def start(self) -> None:
        """Begin to tell."""
        self._ended.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Say no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self, instance: str) -> None:
        """Start the first pod of an instance for a request that is held, which the metrics server knows of then."""
        self.loads[instance] = 1
        self._tell()
        router = self._cluster.user_client(*identity(NAMESPACE, names.ROUTER_ACCOUNT))
        may = ("deployments/scale", "patch")
        until(lambda: may in rights(router, self._home), "the router may wake it", seconds=objects.SECONDS)
        deployment = f"/apis/apps/v1/namespaces/{self._home}/deployments/{names.serving(instance, self._model)}"
        router.json(f"{deployment}/scale", "PATCH", {"spec": {"replicas": 1}}, "application/merge-patch+json")

    def _run(self) -> None:
        while not self._ended.wait(1):
            self._tell()

    def _tell(self) -> None:
        selector = f"labelSelector=app.kubernetes.io%2Fcomponent%3D{names.ENGINE}"
        pods = self._cluster.client.json(f"/api/v1/namespaces/{self._home}/pods?{selector}")["items"]
        instances = self._cluster.client.json(f"{objects.GROUP}/namespaces/{self._home}/shimmyinstances")["items"]
        states = {one["metadata"]["name"]: _state(one) for one in instances}
        loads = [
            (name, load, _ready(pods, name), states.get(name, ""), self.pods.get(name))
            for name, load in dict(self.loads).items()
        ]
        for number, router in enumerate(ROUTERS):
            told = tuple(self._load(*each, first=number == 0) for each in loads)
            self._meters.report(LoadReport(router=router, loads=told))

    def _load(
        self, instance: str, load: int, ready: list[str], state: str, pods: dict[str, int] | None, *, first: bool
    ) -> DeploymentLoad:
        spread = {name: load // len(ready) + (at < load % len(ready)) for at, name in enumerate(ready)}
        runs = spread if pods is None else {name: pods.get(name, 0) for name in ready}
        return DeploymentLoad(
            namespace=self._home,
            deployment=names.serving(instance, self._model),
            instance=instance,
            model=self._model,
            pods={name: PodLoad(in_flight=count) for name, count in runs.items()},
            held=load if first and not ready else 0,
            holding=state in _HOLDING or not ready,
        )


def _state(instance: dict[str, Any]) -> str:
    models = instance.get("status", {}).get("models") or [{"state": ""}]
    return str(models[0]["state"])


def _ready(pods: list[dict[str, Any]], instance: str) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in pods
        if pod["metadata"]["labels"].get(names.LABEL_INSTANCE_OF) == instance and is_ready(pod)
    ]
