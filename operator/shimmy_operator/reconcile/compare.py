"""Whether an object in the cluster still has every field that was rendered for it.

Fields that were not rendered are defaults or belong to somebody else, who may keep them; the exceptions are what
server-side apply treats as one value: selectors, and lists without a key.
Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
"""

from typing import Any, Final

from shimmy_operator.reconcile.quantity import same_quantity

_WHOLE: Final = frozenset({"selector", "podSelector", "namespaceSelector", "nodeSelector"})
_QUANTITIES: Final = frozenset({"limits", "requests", "hard", "emptyDir", "averageValue"})
_KEYS: Final = {
    ("spec", "containers"): "name",
    ("spec", "volumes"): "name",
    ("containers", "volumeMounts"): "mountPath",
    ("containers", "ports"): "containerPort",
    ("containers", "env"): "name",
    ("metadata", "ownerReferences"): "uid",
    ("spec", "ports"): "port",
}
"""Lists that merge item by item: the field and the one that holds it, and the key of an item."""

_EMPTY: Final[tuple[Any, ...]] = ({}, [])


def differs(rendered: Any, live: Any, path: tuple[str, ...] = ("", "")) -> bool:
    """Whether `live` lacks something of `rendered` or has another value for it."""
    if isinstance(rendered, dict):
        return _mapping_differs(rendered, live, path)
    if isinstance(rendered, list):
        return _list_differs(rendered, live, path)
    if isinstance(rendered, str) and isinstance(live, str) and _QUANTITIES & {*path}:
        return not same_quantity(rendered, live)
    return bool(rendered != live)


def _mapping_differs(rendered: dict[str, Any], live: Any, path: tuple[str, ...]) -> bool:
    if not isinstance(live, dict):
        return not (live is None and rendered in _EMPTY)
    if path[-1] in _WHOLE:
        return rendered != live
    return any(differs(value, live.get(key), (path[-1], key)) for key, value in rendered.items())


def _list_differs(rendered: list[Any], live: Any, path: tuple[str, ...]) -> bool:
    if not isinstance(live, list):
        return not (live is None and rendered in _EMPTY)
    key = _KEYS.get((path[-2], path[-1]))
    if key is None:
        return len(rendered) != len(live) or any(
            differs(mine, theirs, path) for mine, theirs in zip(rendered, live, strict=True)
        )
    found = {item.get(key): item for item in live}
    return any(differs(item, found.get(item[key]), path) for item in rendered)
