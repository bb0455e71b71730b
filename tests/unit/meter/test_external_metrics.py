from datetime import UTC, datetime

import pytest

from shimmy_meter.external_metrics import RefusedError, quantity, resources, status, values
from shimmy_meter.loads import Load

NOW = datetime(2026, 5, 4, 3, 2, 1, 999, tzinfo=UTC)
LOADS = [Load("ns", "pool-a", "pool", "a", 9, 3, 2, 1), Load("ns", "pool--slots", "pool", "", 4)]


def test_a_list_of_values() -> None:
    assert values("shimmy_model_load", "instance=pool,model=a", LOADS, NOW) == {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metricName": "shimmy_model_load",
                "metricLabels": {"deployment": "pool-a", "instance": "pool", "model": "a"},
                "timestamp": "2026-05-04T03:02:01Z",
                "value": "9",
            }
        ],
    }


@pytest.mark.parametrize("selector", ["deployment=pool--slots", "instance=pool,!model"])
def test_shared_pods_have_no_model(selector: str) -> None:
    (found,) = values("shimmy_model_load", selector, LOADS, NOW)["items"]
    assert found["metricLabels"] == {"deployment": "pool--slots", "instance": "pool"}


def test_each_metric_is_listed_and_has_its_own_value() -> None:
    names = [resource["name"] for resource in resources()["resources"]]
    found = {name: [item["value"] for item in values(name, "", LOADS, NOW)["items"]] for name in names}
    assert found == {
        "shimmy_model_load": ["9", "4"],
        "shimmy_model_in_flight": ["3", "0"],
        "shimmy_model_queued": ["2", "0"],
        "shimmy_model_held": ["1", "0"],
    }


@pytest.mark.parametrize(
    ("metric", "selector", "code", "reason"),
    [("other", "", 404, "NotFound"), ("shimmy_model_load", "a=b=c", 400, "BadRequest")],
)
def test_what_gets_no_answer(metric: str, selector: str, code: int, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        values(metric, selector, LOADS, NOW)
    told = status(refused.value)
    assert (told["kind"], told["code"], told["reason"]) == ("Status", code, reason)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3, "3"), (0.25, "250m"), (1.5, "1500m"), (0.0001, "1m"), (2.0, "2"), (1e21, "1" + "0" * 21)],
)
def test_quantities(value: float, text: str) -> None:
    assert quantity(value) == text
