"""What lists of models say of each."""

import pytest

from shimmy_router.fleet import Hold, Model
from shimmy_router.xds.lists import models


@pytest.mark.parametrize(
    ("model", "state"),
    [
        (Model("m", "a", ready=True), "Ready"),
        (Model("m", "a", ready=True, hold=Hold(60, 1), asleep=True), "Ready"),
        (Model("m", "a", hold=Hold(60, 1), asleep=True), "Asleep"),
        (Model("m", "a"), "Unavailable"),
    ],
)
def test_a_model_says_whether_a_pod_takes_requests_or_will(model: Model, state: str) -> None:
    assert [entry["state"] for entry in models([model])["data"]] == [state]
