from typing import Any

from shimmy_meter.authorization import Attempt, Authorizer, spec
from shimmy_meter.beliefs import FRESH_SECONDS
from shimmy_meter.front_proxy import User

ANNA = User("anna", "7", ("a",), (("scopes", ("x",)),))
METRIC = Attempt("/apis/…", "ns", "shimmy_model_load")


class Reviewer:
    def __init__(self) -> None:
        self.allowed = {"anna"}
        self.asked: list[str] = []
        self.now = 0.0

    async def __call__(self, asked: dict[str, Any]) -> bool:
        self.asked.append(asked["user"])
        return asked["user"] in self.allowed

    def clock(self) -> float:
        return self.now


def test_what_is_asked() -> None:
    assert spec(ANNA, METRIC) == {
        "user": "anna",
        "uid": "7",
        "groups": ["a"],
        "extra": {"scopes": ["x"]},
        "resourceAttributes": {
            "namespace": "ns",
            "verb": "list",
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "resource": "shimmy_model_load",
        },
    }
    assert spec(ANNA, Attempt("/apis"))["nonResourceAttributes"] == {"path": "/apis", "verb": "get"}
    assert spec(ANNA, Attempt("/x", verb="post"))["nonResourceAttributes"] == {"path": "/x", "verb": "post"}


async def test_answers_are_believed_for_seconds() -> None:
    reviewer = Reviewer()
    authorizer = Authorizer(reviewer, reviewer.clock)
    for _ in range(3):
        assert await authorizer.allows(ANNA, METRIC)
        assert not await authorizer.allows(User("bert"), METRIC)
    assert reviewer.asked == ["anna", "bert"]
    reviewer.allowed = {"bert"}
    reviewer.now = FRESH_SECONDS
    assert not await authorizer.allows(ANNA, METRIC)
    assert await authorizer.allows(User("bert"), METRIC)


async def test_another_group_or_namespace_is_another_question() -> None:
    reviewer = Reviewer()
    authorizer = Authorizer(reviewer, reviewer.clock)
    await authorizer.allows(ANNA, METRIC)
    await authorizer.allows(User("anna"), METRIC)
    await authorizer.allows(ANNA, Attempt(METRIC.path, "other", METRIC.metric))
    assert len(reviewer.asked) == 3


async def test_masters_are_not_asked_for() -> None:
    reviewer = Reviewer()
    assert await Authorizer(reviewer).allows(User("m", groups=("system:masters",)), METRIC)
    assert not reviewer.asked
