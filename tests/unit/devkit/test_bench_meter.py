import random

from devkit.bench.meter.reports import report
from shimmy_api.load import LoadReport


def test_at_rest_a_router_says_the_same_every_second_and_under_load_never() -> None:
    chance = random.Random(1)
    assert report("r", 20, None) == report("r", 20, None)
    assert report("r", 20, chance) != report("r", 20, chance)


def test_routers_speak_of_the_same_pods() -> None:
    first, second = (LoadReport.model_validate_json(report(name, 20, random.Random(name))) for name in "rs")
    assert [load.pods.keys() for load in first.loads] == [load.pods.keys() for load in second.loads]
    assert len({(load.namespace, load.deployment) for load in first.loads}) == 20
