import copy
from typing import Any

import pytest
from tests.unit.operator.samples import CONTEXT, GPU, OWNER, served

from shimmy_operator.reconcile.compare import differs
from shimmy_operator.reconcile.quantity import same_quantity
from shimmy_operator.render.deployment import render_deployment

DEPLOYMENT = render_deployment("acme", "shimmy-acme", OWNER, GPU, served(), CONTEXT)


@pytest.mark.parametrize(
    ("rendered", "live"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"emptyDir": {}}, {}),
        ({"spec": {"hard": {}}}, {"spec": {}}),
        ({"limits": {"memory": "1024Mi", "cpu": "1000m"}}, {"limits": {"memory": "1Gi", "cpu": "1"}}),
        ({"spec": {"ports": [{"port": 1}]}}, {"spec": {"ports": [{"port": 2}, {"port": 1, "protocol": "TCP"}]}}),
        ({"containers": {"env": [{"name": "A"}]}}, {"containers": {"env": [{"name": "injected"}, {"name": "A"}]}}),
    ],
)
def test_defaults_and_other_peoples_fields_make_no_difference(rendered: Any, live: Any) -> None:
    assert not differs(rendered, live)


@pytest.mark.parametrize(
    ("rendered", "live"),
    [
        ({"a": 1}, {}),
        ({"a": 1}, None),
        ({"podSelector": {}}, {"podSelector": {"matchLabels": {"a": "b"}}}),
        ({"egress": [{"to": []}]}, {"egress": [{"to": []}, {}]}),
        ({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1G"}}),
        ({"spec": {"ports": [{"port": 1}]}}, {"spec": {"ports": [{"port": 2}]}}),
        ({"automountServiceAccountToken": False}, {}),
        ({"containers": [{"env": [{"name": "A", "value": "1"}]}]}, {"containers": [{"env": [{"name": "A"}]}]}),
        ({"args": ["a", "b"]}, {"args": ["b", "a"]}),
    ],
)
def test_what_was_rendered_and_is_not_there_makes_a_difference(rendered: Any, live: Any) -> None:
    assert differs(rendered, live)


def test_a_sidecar_that_somebody_injected_stays() -> None:
    live = copy.deepcopy(DEPLOYMENT)
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "mesh", "image": "x"})
    assert not differs(DEPLOYMENT, live)


def test_every_leaf_of_a_deployment_is_watched() -> None:
    for path in leaves(DEPLOYMENT):
        live = copy.deepcopy(DEPLOYMENT)
        parent: Any = live
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = "changed"
        assert differs(DEPLOYMENT, live), path


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [leaf for key, value in node.items() for leaf in leaves(value, (*path, key))]
    if isinstance(node, list):
        return [leaf for index, value in enumerate(node) for leaf in leaves(value, (*path, index))]
    return [path]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1000m", True),
        ("1.5Gi", "1536Mi", True),
        ("1e3", "1k", True),
        ("2Ti", "2048Gi", True),
        ("1G", "1Gi", False),
        ("x", "x", True),
        ("x", "1", False),
    ],
)
def test_quantities_are_compared_by_what_they_mean(one: str, other: str, same: bool) -> None:
    assert same_quantity(one, other) is same
