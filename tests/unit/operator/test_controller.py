"""The operator as a whole, on a watcher that plays a script."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from tests.unit.operator.fake_cluster import FakeCluster
from tests.unit.operator.samples import CONTEXT

from devkit import ports
from shimmy_operator.cluster.port import Listing, Selection, WatchEvent
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.cluster.store import Store
from shimmy_operator.handlers import controller as module
from shimmy_operator.handlers.controller import Controller
from shimmy_operator.handlers.queue import WorkQueue
from shimmy_operator.handlers.server import serve
from shimmy_operator.metrics import Metrics
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.relations import Relations


class Quiet:
    """Lists some tenants and then sees nothing happen."""

    def __init__(self, *tenants: str) -> None:
        self.tenants = tenants

    async def list(self, selection: Selection) -> Listing:
        names = self.tenants if selection.kind == "ShimmyTenant" else ()
        return Listing(tuple(tenant(name) for name in names), "10")

    async def watch(self, _selection: Selection, _resource_version: str) -> AsyncIterator[WatchEvent]:
        await asyncio.Event().wait()
        yield WatchEvent("BOOKMARK", {})


def tenant(name: str) -> Manifest:
    metadata = {"name": name, "resourceVersion": "1"}
    return {"apiVersion": "shimmy.dev/v1alpha1", "kind": "ShimmyTenant", "metadata": metadata, "spec": {}}


def make(
    queue: WorkQueue, metrics: Metrics, *tenants: str, resync: float = 3600, store: Store | None = None
) -> Controller:
    store = store or Store()
    environment = Environment(
        FakeCluster(), store, Relations(store), CONTEXT, lambda: datetime.now(UTC), queue.add_later
    )
    return Controller(environment, Quiet(*tenants), queue, metrics, resync)


async def test_a_fault_with_one_object_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    done = asyncio.Event()

    async def reconcile(_: Environment, key: Reference) -> None:
        if key.name == "poison":
            raise KeyError("a fault")
        done.set()

    monkeypatch.setattr(module, "reconcile", reconcile)
    metrics = Metrics()
    task = asyncio.create_task(make(WorkQueue(), metrics, "poison", "good").run())
    async with asyncio.timeout(5):
        await done.wait()
    assert not task.done()
    assert metrics.registry.get_sample_value(
        "shimmy_operator_reconciles_total", {"kind": "ShimmyTenant", "result": "fault"}
    )
    task.cancel()


async def test_everything_is_looked_at_again_after_the_resync_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    enough = asyncio.Event()

    async def reconcile(_: Environment, key: Reference) -> None:
        seen.append(key.name)
        if len(seen) == 3:
            enough.set()

    monkeypatch.setattr(module, "reconcile", reconcile)
    task = asyncio.create_task(make(WorkQueue(), Metrics(), "acme", resync=0.01).run())
    async with asyncio.timeout(5):
        await enough.wait()
    task.cancel()
    assert seen == ["acme"] * 3


async def test_a_change_queues_the_objects_of_other_namespaces_that_it_concerns() -> None:
    queue = WorkQueue()
    store = Store()
    make(queue, Metrics(), store=store)
    store.put({**tenant("acme"), "spec": {"fallback": {"models": ["big"]}}})
    store.put(tenant("other"))
    assert [(await queue.take()).name, (await queue.take()).name] == ["acme", "other"]
    metadata = {"name": "big", "namespace": "shimmy-lender", "resourceVersion": "2", "generation": 1}
    model = {"apiVersion": "shimmy.dev/v1alpha1", "kind": "ShimmyModel", "metadata": metadata}
    queue.done(Reference("ShimmyTenant", None, "acme"))
    store.put({**model, "spec": {"backend": {}, "sharedWith": {"allTenants": True}}})
    assert {(await queue.take()).name, (await queue.take()).name} == {"acme", "big"}
    assert len(queue) == 0


async def test_the_operator_tells_its_numbers_and_its_health() -> None:
    metrics, ready = Metrics(), [False]
    metrics.count_write("apply")
    metrics_port, health_port = ports.free(2)
    async with (
        serve("127.0.0.1", metrics_port, health_port, metrics.registry, lambda: ready[0]),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        text = (await client.get(f"http://127.0.0.1:{metrics_port}/metrics")).text
        assert 'shimmy_operator_api_writes_total{verb="apply"} 1.0' in text
        health = f"http://127.0.0.1:{health_port}"
        assert (await client.get(f"{health}/healthz")).status_code == 200
        assert (await client.get(f"{health}/readyz")).status_code == 503
        ready[0] = True
        assert (await client.get(f"{health}/readyz")).status_code == 200
