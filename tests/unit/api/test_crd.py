from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from shimmy_api.crd import render_crd
from shimmy_api.kinds import INSTANCE, KINDS, MODEL, TENANT, Kind

FORBIDDEN = {"$ref", "$defs", "anyOf", "allOf", "oneOf", "const", "exclusiveMinimum", "exclusiveMaximum", "title"}


def schemas(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("properties", {}).values():
        yield from schemas(child)
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from schemas(node[key])


def schema_of(kind: Kind) -> dict[str, Any]:
    version = render_crd(kind)["spec"]["versions"][0]
    return dict(version["schema"]["openAPIV3Schema"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_schema_is_structural(kind: Kind) -> None:
    for schema in schemas(schema_of(kind)):
        assert "type" in schema
        assert not FORBIDDEN & schema.keys()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_field_that_users_write_is_documented(kind: Kind) -> None:
    undocumented = [
        name
        for schema in schemas(schema_of(kind)["properties"]["spec"])
        for name, child in schema.get("properties", {}).items()
        if not child.get("description") and name not in {"key", "operator", "value", "effect", "tolerationSeconds"}
    ]
    assert undocumented == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_no_field_needs_quotes_in_yaml(kind: Kind) -> None:
    """`on`, `off`, `yes`, `no`, `y` and `n` are booleans in YAML 1.1, which kubectl reads."""
    fields = {name for schema in schemas(schema_of(kind)) for name in schema.get("properties", {})}
    assert all(isinstance(yaml.safe_load(name), str) for name in fields)
    assert not {"y", "n"} & fields


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_status_has_no_defaults_that_the_api_server_would_write(kind: Kind) -> None:
    status = schema_of(kind)["properties"]["status"]
    assert not [schema for schema in schemas(status) if "default" in schema]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_conditions_merge_by_type(kind: Kind) -> None:
    conditions = schema_of(kind)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_only_instances_scale() -> None:
    scaled = [k.kind for k in KINDS if "scale" in render_crd(k)["spec"]["versions"][0]["subresources"]]
    assert scaled == ["ShimmyInstance"]


def test_defaults_hold_no_nulls() -> None:
    quota = schema_of(TENANT)["properties"]["spec"]["properties"]["quota"]
    assert quota["default"] == {"gpuResourceName": "nvidia.com/gpu"}


def test_scope_follows_the_object() -> None:
    assert [render_crd(k)["spec"]["scope"] for k in (TENANT, MODEL, INSTANCE)] == [
        "Cluster",
        "Namespaced",
        "Namespaced",
    ]
