"""What this router tells the metrics server, and by which routes a model can be asked for."""

from shimmy_api.access import TenantLimits
from shimmy_api.load import DeploymentLoad, LoadReport, PodLoad
from shimmy_router.entries import Entry
from shimmy_router.fleet import Hold, Key, Model, Pool, Tenant
from shimmy_router.loads.rates import Rates
from shimmy_router.loads.report import ModelLoad, report
from shimmy_router.records import Endpoint
from shimmy_router.wake.ways import Ways
from shimmy_router.xds.tables import tables as tables_of

HOLD = Hold(60, 10)


def pod(name: str, instance: str) -> Endpoint:
    return Endpoint(f"192.0.2.{int(name[1:])}", 8080, pod=name, instance=instance)


def test_each_deployment_is_told_with_its_own_pods_and_what_is_held_counts_once() -> None:
    pools = (Pool("i", "i-m"), Pool("j", "j-m"))
    model = Model("m", "a", hold=HOLD, pools=pools, endpoints=(pod("p1", "i"), pod("p2", "j")))
    work = {"p1": PodLoad(in_flight=1, queued=2), "p2": PodLoad()}
    load = ModelLoad("ns", model, work, held=3, holding=True, tokens_per_second=5.0, first_byte_seconds=0.2)
    first = DeploymentLoad(
        namespace="ns",
        deployment="i-m",
        instance="i",
        model="m",
        pods={"p1": work["p1"]},
        held=3,
        holding=True,
        tokens_per_second=5.0,
        first_byte_seconds=0.2,
    )
    second = DeploymentLoad(
        namespace="ns", deployment="j-m", instance="j", model="m", pods={"p2": work["p2"]}, holding=True
    )
    assert report("r", [load]) == LoadReport(router="r", loads=(first, second))


def test_pods_that_models_share_are_told_once_with_what_waits_for_any_of_them() -> None:
    pools = (Pool("i", "i--slots", shared=True),)
    models = [Model(name, "a", hold=HOLD, pools=pools, endpoints=(pod("p1", "i"),)) for name in ("m", "n")]
    work = {"p1": PodLoad(in_flight=1)}
    loads = [ModelLoad("ns", model, work, held=2, holding=model.name == "m") for model in models]
    (told,) = report("r", loads).loads
    assert (told.deployment, told.model, told.pods, told.held, told.holding) == ("i--slots", "", work, 4, False)


def test_a_model_without_pods_is_told_too() -> None:
    (told,) = report("r", [ModelLoad("ns", Model("m", "a", hold=HOLD, pools=(Pool("i", "i-m"),)), {})]).loads
    assert told == DeploymentLoad(namespace="ns", deployment="i-m", instance="i", model="m")


def entry(tenant: str, model: str, tokens: int, first: float) -> Entry:
    return Entry("id", tenant, "", model, model, "", 200, "completed", 1.0, first, None, 0, 1, tokens)


def test_tokens_and_first_bytes_are_those_since_the_last_look_over_all_tenants_that_ask() -> None:
    rates = Rates()
    own, lent = Model("m", "a", hold=HOLD), Model("m", "a", hold=HOLD, shared=True)
    rates.follow("a", Tenant("a", "ns", models=(own, Model("fixed", "a"))))
    rates.follow("b", Tenant("b", "other", models=(lent,)))
    for one in (entry("a", "m", 10, 0.1), entry("b", "m", 5, 0.3), entry("a", "fixed", 9, 1.0), entry("c", "m", 9, 1)):
        rates.count(one)
    found = rates.take()
    assert {cluster: (rate.tokens, rate.first_byte_seconds) for cluster, rate in found.items()} == {"a/m": (15, 0.3)}
    assert rates.take() == {}
    rates.follow("b", None)
    rates.count(entry("b", "m", 5, 0.3))
    assert rates.take() == {}


def asking(name: str, *models: Model, key_models: frozenset[str] | None = None) -> Tenant:
    keys = (Key("sk-1", "id1", "one"), Key("sk-2", "id2", "two", models=key_models))
    return Tenant(name, f"shimmy-{name}", keys=keys, models=models, limits=TenantLimits())


def test_a_cluster_is_closed_when_envoy_has_every_table_that_leads_to_it_by_the_agent() -> None:
    ways = Ways()
    asleep = Model("m", "a", hold=HOLD, asleep=True)
    ways.follow("a", asking("a", asleep, key_models=frozenset({"m"})))
    tables = {table.name for table in tables_of(asking("a", asleep, key_models=frozenset({"m"})))}
    assert len(tables) == 2
    assert ways.closed("a/m", tables.__contains__)
    assert not ways.closed("a/m", lambda table: table == "a")
    ways.follow("b", asking("b", Model("m", "a", hold=HOLD, shared=True)))
    assert not ways.closed("a/m", lambda _: True)
    ways.follow("b", None)
    assert ways.closed("a/m", lambda _: True)
