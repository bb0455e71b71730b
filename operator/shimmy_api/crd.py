"""CustomResourceDefinitions from the pydantic models.

Pydantic writes JSON Schema 2020-12; Kubernetes takes the structural subset of OpenAPI v3 (no $ref, no null type, no
exclusive bounds as numbers). Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
custom-resource-definitions/#specifying-a-structural-schema
"""

from typing import Any, Final

from shimmy_api.base import ApiModel
from shimmy_api.kinds import Kind
from shimmy_api.names import GROUP, PART_OF, VERSION

Schema = dict[str, Any]

_KEPT: Final = frozenset(
    {
        "description",
        "enum",
        "format",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
    }
    | {"maxProperties", "minProperties", "type", "required"}
)


def structural(model: type[ApiModel], *, defaults: bool = True) -> Schema:
    """The structural schema of a model. `defaults` says whether the API server shall fill in defaults."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(raw, raw.get("$defs", {}), defaults=defaults)


def _convert(raw: Schema, definitions: dict[str, Schema], *, defaults: bool) -> Schema:
    raw = _resolve(raw, definitions)
    schema: Schema = {key: value for key, value in raw.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if "const" in raw:
        schema["enum"] = [raw["const"]]
    if "properties" in raw:
        schema["properties"] = {
            name: _convert(child, definitions, defaults=defaults) for name, child in raw["properties"].items()
        }
    if "items" in raw:
        schema["items"] = _convert(raw["items"], definitions, defaults=defaults)
    if isinstance(raw.get("additionalProperties"), dict):
        schema["additionalProperties"] = _convert(raw["additionalProperties"], definitions, defaults=defaults)
    if defaults and raw.get("default") is not None:
        schema["default"] = _without_nulls(raw["default"])
    return schema


def _resolve(raw: Schema, definitions: dict[str, Schema]) -> Schema:
    """Merge what $ref, allOf and anyOf-with-null point to under the field's own keys."""
    targets = list(raw.get("allOf", []))
    targets += [option for option in raw.get("anyOf", []) if option.get("type") != "null"]
    if "$ref" in raw:
        targets.append(definitions[raw["$ref"].rpartition("/")[2]])
    if not targets:
        return raw
    if len(targets) > 1:
        raise ValueError(f"a union of {len(targets)} types has no structural schema: {raw}")
    rules = [
        *_resolve(targets[0], definitions).get("x-kubernetes-validations", []),
        *raw.get("x-kubernetes-validations", []),
    ]
    merged = {
        **_resolve(targets[0], definitions),
        **{k: v for k, v in raw.items() if k not in {"allOf", "anyOf", "$ref"}},
    }
    return {**merged, "x-kubernetes-validations": rules} if rules else merged


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value


def render_crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    subresources: dict[str, Any] = {"status": {}}
    if kind.scalable:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": PART_OF},
        },
        "spec": {
            "group": GROUP,
            "scope": kind.scope,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": ["shimmy"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [
                        {"name": c.name, "type": c.type, "jsonPath": c.json_path, "priority": c.priority}
                        for c in kind.columns
                    ],
                    "subresources": subresources,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": kind.description,
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": structural(kind.spec),
                                "status": structural(kind.status, defaults=False),
                            },
                        }
                    },
                }
            ],
        },
    }
