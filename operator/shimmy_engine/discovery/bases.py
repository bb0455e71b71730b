"""Finds the base of an adapter among the models that were found with it: pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from shimmy_api.discovery import Discovered

_KIND_OF_BASE: Final = {"ggufAdapter": "gguf", "peft": "huggingFace"}


def with_bases(models: Sequence[Discovered]) -> list[Discovered]:
    """The models, adapters with the base that they name, where exactly one model has that name."""
    return [_with_base(model, models) for model in models]


def _with_base(adapter: Discovered, models: Iterable[Discovered]) -> Discovered:
    if adapter.kind not in _KIND_OF_BASE or not adapter.base:
        return adapter
    possible = [model for model in models if model.kind == _KIND_OF_BASE[adapter.kind]]
    for matches in (_by_path, _by_name, _by_last_part, _by_object_name):
        found = [model for model in possible if matches(adapter.base, model)]
        if len(found) == 1:
            base = found[0]
            update = {"base_path": base.path, "base_source": base.source, "base_parameters": base.parameters}
            return adapter.model_copy(update=update)
        if found:
            return adapter
    return adapter


def _by_path(base: str, model: Discovered) -> bool:
    return base == model.path or (base.count("/") > 0 and model.path.endswith(f"/{base.lstrip('./')}"))


def _by_name(base: str, model: Discovered) -> bool:
    return base.casefold() in map(str.casefold, model.known_as)


def _by_last_part(base: str, model: Discovered) -> bool:
    return _last(base) in map(_last, model.known_as)


def _by_object_name(base: str, model: Discovered) -> bool:
    return base == model.name


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].casefold().replace(" ", "-")
