"""The queue, the store, the informer and the settings."""

import asyncio
import re
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from devkit.pki import Authority
from shimmy_operator.cluster.errors import ExpiredError, UnavailableError
from shimmy_operator.cluster.informer import Informer
from shimmy_operator.cluster.port import Listing, Selection, WatchEvent
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.cluster.store import Store
from shimmy_operator.handlers.queue import WorkQueue
from shimmy_operator.handlers.routing import concerned
from shimmy_operator.reconcile.relations import Relations
from shimmy_operator.render.context import AllowedEgress, FetchNetwork
from shimmy_operator.settings import parse_settings

KEY = Reference("ShimmyTenant", None, "a")
OTHER = Reference("ShimmyTenant", None, "b")


async def test_a_key_waits_once_and_is_worked_on_once_more_if_it_changes_meanwhile() -> None:
    queue = WorkQueue()
    queue.add(KEY)
    queue.add(KEY)
    queue.add(OTHER)
    assert await queue.take() == KEY
    queue.add(KEY)
    assert len(queue) == 1
    queue.done(KEY)
    assert [await queue.take(), await queue.take()] == [OTHER, KEY]
    assert len(queue) == 0


async def test_a_key_that_fails_waits_twice_as_long_each_time_until_it_works() -> None:
    queue = WorkQueue()
    delays = []
    for _ in range(12):
        queue.add(KEY)
        await queue.take()
        delays.append(queue.failed(KEY))
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays[-1] == 60
    queue.add(KEY)
    await queue.take()
    assert queue.failed(KEY, retry_after=90) == 90
    queue.add(KEY)
    queue.done(await queue.take())
    queue.add(KEY)
    await queue.take()
    assert queue.failed(KEY) == 0.2


async def test_of_two_times_the_earlier_one_counts() -> None:
    queue = WorkQueue()
    queue.add_later(KEY, 60)
    queue.add_later(KEY, 0)
    queue.add_later(KEY, 30)
    async with asyncio.timeout(5):
        assert await queue.take() == KEY


def pod(name: str, version: int, **metadata: Any) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "n", "resourceVersion": str(version), **metadata},
    }


def test_a_store_never_goes_back_in_time() -> None:
    store = Store()
    seen: list[str] = []
    store.listen(lambda manifest: seen.append(manifest["metadata"]["resourceVersion"]))
    store.put(pod("a", 5, managedFields=[1]))
    store.put(pod("a", 4))
    store.put(pod("a", 5))
    store.remove(pod("a", 4))
    assert seen == ["5"]
    assert store.get("Pod", "n", "a") == pod("a", 5)
    store.remove(pod("a", 6))
    assert store.get("Pod", "n", "a") is None
    assert store.within("Pod", "n") == []


def test_what_a_new_list_lacks_was_deleted_unless_it_is_newer() -> None:
    store = Store()
    for name, version in (("old", 5), ("new", 20)):
        store.put(pod(name, version))
    store.replace(Selection("Pod"), [pod("listed", 9)], "10")
    assert sorted(manifest["metadata"]["name"] for manifest in store.all("Pod")) == ["listed", "new"]


class Script:
    """A watcher that plays what it is given, then waits for ever."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.lists = 0

    async def list(self, _selection: Selection) -> Listing:
        self.lists += 1
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return Listing(tuple(step), "10")

    async def watch(self, _selection: Selection, _resource_version: str) -> AsyncIterator[WatchEvent]:
        if not self.steps:
            await asyncio.Event().wait()
        for event in self.steps.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


async def until(ask: Any) -> None:
    async with asyncio.timeout(5):
        while not ask():  # noqa: ASYNC110 - what is asked for has no event
            await asyncio.sleep(0.01)


def test_a_new_list_of_one_selection_leaves_what_others_of_its_kind_have_shown() -> None:
    store = Store()
    for name in ("mine", "other"):
        store.put({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "a", "resourceVersion": "1"}})
    store.replace(Selection("ConfigMap", name="mine"), [], "10")
    assert [manifest["metadata"]["name"] for manifest in store.all("ConfigMap")] == ["other"]


async def test_an_informer_lists_again_when_its_watch_expires_or_breaks() -> None:
    store = Store()
    script = Script(
        UnavailableError("no connection"),
        [pod("a", 1), pod("b", 2)],
        [WatchEvent("ADDED", pod("c", 11)), WatchEvent("DELETED", pod("a", 12)), ExpiredError("410")],
        [pod("b", 2)],
    )
    task = asyncio.create_task(Informer(script, Selection("Pod"), store).run())
    await until(lambda: script.lists == 3 and not script.steps)
    task.cancel()
    # c is newer than the list, which says that it was at 10.
    assert sorted(manifest["metadata"]["name"] for manifest in store.all("Pod")) == ["b", "c"]


def own(kind: str, name: str, namespace: str | None, spec: dict[str, Any]) -> Manifest:
    metadata = {"name": name, "resourceVersion": "1", "generation": 1} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "shimmy.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture
def fleet() -> Relations:
    store = Store()
    relations = Relations(store)
    store.put(own("ShimmyTenant", "acme", None, {}))
    source = {"backend": {"gguf": {"source": "pvc://models/tiny.gguf"}}}
    store.put(own("ShimmyModel", "tiny", "shimmy-acme", source))
    store.put(own("ShimmyInstance", "chat", "shimmy-acme", {"models": ["tiny"]}))
    store.put(own("ShimmyInstance", "else", "shimmy-acme", {"models": ["big"]}))
    return relations


def child(kind: str, name: str = "x", namespace: str | None = "shimmy-acme", **metadata: Any) -> Manifest:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, **metadata}}


FETCH = {"app.kubernetes.io/component": "fetch", "shimmy.dev/model": "tiny"}
ENGINE = {"app.kubernetes.io/component": "engine", "shimmy.dev/instance": "chat", "shimmy.dev/model": "tiny"}
OWNED = [{"kind": "ShimmyInstance", "name": "chat", "uid": "u"}]


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        (own("ShimmyTenant", "acme", None, {}), "acme tiny chat else"),
        (own("ShimmyModel", "tiny", "shimmy-acme", {}), "tiny chat"),
        (own("ShimmyInstance", "chat", "shimmy-acme", {}), "chat"),
        (child("Namespace", "shimmy-acme", None), "acme tiny chat else"),
        (child("EndpointSlice", "kubernetes", "default"), "acme"),
        (child("PersistentVolumeClaim", "models"), "tiny"),
        (child("PersistentVolumeClaim", "others"), ""),
        (child("Pod", labels=FETCH), "tiny"),
        (child("Pod", labels=ENGINE), "chat"),
        (child("Secret", namespace="shimmy-system", labels={"shimmy.dev/tenant": "acme"}), "acme"),
        (child("Secret", "vault", "shimmy-acme"), "acme"),
        (child("Secret", "vault", "elsewhere"), ""),
        (child("ConfigMap", "shimmy-jwks", "shimmy-system"), ""),
        (child("Deployment", ownerReferences=OWNED), "chat"),
        (child("Deployment"), ""),
    ],
)
def test_a_change_concerns_the_objects_that_depend_on_it(fleet: Relations, changed: Manifest, keys: str) -> None:
    assert [key.name for key in concerned(changed, fleet)] == keys.split()


LOAD = {"maxReplicas": 2}
REFUSED = {"replicas": 0, "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "no"}]}


def test_pods_that_are_refused_concern_those_who_share_the_gpus(fleet: Relations) -> None:
    for name, more in (
        ("big", {"gpu": {}, "autoscaling": LOAD}),
        ("fixed", {"gpu": {}}),
        ("small", {"autoscaling": LOAD}),
    ):
        fleet.store.put(own("ShimmyInstance", name, "shimmy-acme", {"models": ["tiny"], **more}))
    quota = child("ResourceQuota", labels={"shimmy.dev/tenant": "acme"})
    deployment = child("Deployment", ownerReferences=OWNED, resourceVersion="1") | {"spec": {"replicas": 1}}
    fleet.store.put(deployment)
    assert [key.name for key in concerned(deployment, fleet)] == ["chat"]
    assert [key.name for key in concerned(quota, fleet)] == ["acme"]
    refused = {**deployment, "metadata": {**deployment["metadata"], "resourceVersion": "2"}, "status": REFUSED}
    fleet.store.put(refused)
    assert [key.name for key in concerned(refused, fleet)] == ["chat", "big"]
    assert [key.name for key in concerned(quota, fleet)] == ["acme", "big"]


def test_issuers_keys_concern_the_tenants_that_name_an_issuer(fleet: Relations) -> None:
    tokens = [{"name": "pods"}, {"name": "people", "issuer": "https://id.example", "jwks": {}}]
    fleet.store.put(own("ShimmyTenant", "open", None, {"tokens": tokens}))
    fleet.store.put(own("ShimmyTenant", "pods", None, {"tokens": tokens[:1]}))
    changed = child("ConfigMap", "shimmy-jwks", "shimmy-system")
    assert [key.name for key in concerned(changed, fleet)] == ["open"]


SEEN = {"status": {"observedGeneration": 1}}
DISCOVERY = {"app.kubernetes.io/component": "discovery", "shimmy.dev/tenant": "acme"}


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        (own("ShimmyModel", "tiny", "shimmy-acme", {}), "tiny acme chat"),  # new, or its spec has changed
        (own("ShimmyModel", "tiny", "shimmy-acme", {}) | SEEN, "tiny chat"),  # its status has changed
        (own("ShimmyModel", "gone", "shimmy-acme", {}) | SEEN, "gone acme"),  # the store has it no more
        (own("ShimmyInstance", "chat", "shimmy-acme", {}) | SEEN, "chat"),
        (own("ShimmyInstance", "gone", "shimmy-acme", {}) | SEEN, "gone acme"),
        (child("ConfigMap", "shimmy-discovery"), "acme"),
        (child("RoleBinding", "shimmy-discovery"), "acme"),
        (child("CronJob"), "acme"),
        (child("Job", labels=DISCOVERY), "acme"),
        (child("Pod", labels=DISCOVERY), "acme"),
        (child("PersistentVolumeClaim", "others"), "acme"),
        (child("ConfigMap", "shimmy-discovery", "elsewhere"), ""),
    ],
)
def test_what_discovery_depends_on_concerns_its_tenant(fleet: Relations, changed: Manifest, keys: str) -> None:
    discovery = {"discovery": {"sources": [{"name": "a", "source": "pvc://models"}]}}
    tenant = own("ShimmyTenant", "acme", None, discovery)
    fleet.store.put({**tenant, "metadata": {**tenant["metadata"], "resourceVersion": "2"}})
    assert [key.name for key in concerned(changed, fleet)] == keys.split()


def test_settings_come_from_flags_before_the_environment() -> None:
    environment = {
        "SHIMMY_ROUTER_NAMESPACE": "edge",
        "SHIMMY_RESYNC_SECONDS": "5",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }
    settings = parse_settings(
        ["--resync-seconds", "7", "--fetch-egress", "10.0.0.0/8=443,8443 2001:db8::/32"], environment
    )
    assert settings.resync_seconds == 7
    assert settings.context.router_namespace == "edge"
    assert settings.context.endpoint == "http://shimmy-router.edge.svc/v1"
    assert settings.context.api_server_addresses == (ip_address("10.0.0.1"),)
    assert settings.context.fetch_egress == (
        AllowedEgress(ip_network("10.0.0.0/8"), (443, 8443)),
        AllowedEgress(ip_network("2001:db8::/32"), (443,)),
    )


def test_settings_of_fetching_come_together_for_the_jobs(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "private").files.certificate
    flags = {
        "--fetch-http-proxy": "http://proxy.example:3128",
        "--fetch-https-proxy": "http://192.0.2.7:3128",
        "--fetch-no-proxy": "minio.example",
        "--fetch-ca-file": str(authority),
        "--fetch-hub-endpoint": "https://hub.example",
        "--fetch-s3-endpoint": "https://minio.example:9000",
        "--fetch-s3-region": "eu-west-7",
        "--fetch-offline": "true",
    }
    context = parse_settings([part for flag in flags.items() for part in flag], {}).context
    assert context.fetch_network == FetchNetwork(
        http_proxy="http://proxy.example:3128",
        https_proxy="http://192.0.2.7:3128",
        no_proxy="minio.example",
        ca_bundle=authority.read_text(),
        offline=True,
        hub_endpoint="https://hub.example",
        s3_endpoint="https://minio.example:9000",
        s3_region="eu-west-7",
    )
    # A proxy that has an address is open; a name cannot be put into a NetworkPolicy.
    assert context.fetch_egress == (AllowedEgress(ip_network("192.0.2.7/32"), (3128,)),)


def test_without_settings_of_fetching_nothing_is_set() -> None:
    assert parse_settings([], {}).context.fetch_network == FetchNetwork()


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--fetch-https-proxy", "http://user:secret@proxy.example", "credentials would be readable"),
        ("--fetch-https-proxy", "proxy.example:3128", "is not http://HOST"),
        ("--fetch-ca-file", "/absent.crt", "no PEM certificates"),
        ("--fetch-ca-file", __file__, "no PEM certificates"),
        ("--fetch-offline", "yes", "neither true nor false"),
    ],
)
def test_a_bad_setting_of_fetching_ends_the_start(
    flag: str, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_settings([flag, value], {})
    message = capsys.readouterr().err
    assert told in message
    assert "secret" not in message


@pytest.mark.parametrize("value", ["10.0.0.0/33", "10.0.0.0/8=0", "10.0.0.0/8=https", "anywhere"])
def test_a_bad_setting_ends_the_start(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_settings(["--fetch-egress", value], {})
    assert "--fetch-egress" in capsys.readouterr().err


def test_routers_are_not_told_of_a_metrics_server_that_they_cannot_trust(capsys: pytest.CaptureFixture[str]) -> None:
    meter = ["--router-meter", "https://meter:6443"]
    assert parse_settings([*meter, "--meter-tls", "tls"], {}).context.router_meter == meter[1]
    with pytest.raises(SystemExit):
        parse_settings(meter, {})
    assert "--router-meter needs --meter-tls" in capsys.readouterr().err


def test_every_flag_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_settings(["--help"], {})
    flags = set(re.findall(r"--[a-z0-9-]+", capsys.readouterr().out)) - {"--help"}
    documented = Path(__file__).parents[3] / "docs/operator.md"
    assert flags <= set(re.findall(r"--[a-z0-9-]+", documented.read_text()))
    assert len(flags) > 10
