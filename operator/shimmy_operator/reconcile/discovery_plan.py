"""What becomes of discovered models: which ShimmyModels to have, which to retire, what to leave alone. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shimmy_api import names
from shimmy_api.discovery import Discovered, DiscoveryReport, Skipped, model_spec, skipped
from shimmy_api.naming import distinct
from shimmy_api.sources import parse_source
from shimmy_api.tenant import DiscoverySource
from shimmy_operator.cluster.resources import Manifest
from shimmy_operator.render.discovered import WantedModel

_PLACES: Final = frozenset({"source", "loraSource", "baseModel", "peftSource", "adapterSource"})
"""Fields of a backend that say where its files are, as opposed to what they must be."""

Identity = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A source of discovery and what was last found in it; None where nothing is known of the source as it is now."""

    source: DiscoverySource
    report: DiscoveryReport | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. Whatever is not in it stays as it is."""

    wanted: list[WantedModel] = field(default_factory=list)
    retired: list[Manifest] = field(default_factory=list)
    skips: dict[str, list[Skipped]] = field(default_factory=dict)
    """What became no ShimmyModel, or did not go, by the name of the source."""


def make_plan(seen: Sequence[Seen], existing: Iterable[Manifest], served: Collection[str], *, retire: bool) -> Plan:
    """Compare what was found with the ShimmyModels of the tenant's namespace.

    A model is known again by where its files are, whatever its name. `served` are the names of models that an instance
    serves; they are not retired.
    """
    return _Planner(seen, existing, served, retire=retire).plan()


def identity(backend: dict[str, Any]) -> Identity:
    """Where the files of a model are."""
    return tuple(
        sorted(
            (f"{kind}.{key}", str(value))
            for kind, fields in backend.items()
            for key, value in fields.items()
            if key in _PLACES and value is not None
        )
    )


class _Planner:
    def __init__(
        self, seen: Sequence[Seen], existing: Iterable[Manifest], served: Collection[str], *, retire: bool
    ) -> None:
        models = {manifest["metadata"]["name"]: manifest for manifest in existing}
        self.seen = seen
        self.served = served
        self.retire = retire
        self.ours = {name: model for name, model in models.items() if _discovered_by(model) is not None}
        self.by_hand = {name: model for name, model in models.items() if name not in self.ours}
        self.result = Plan(skips={one.source.name: [] for one in seen})

    def plan(self) -> Plan:
        found = self._found()
        known = {_identity(model): name for name, model in self.ours.items()}
        gone = {name for name, model in self.ours.items() if self._is_gone(model) and _identity(model) not in found}
        taken = {name for name in self.ours if name not in gone}
        for place, (source, model, spec) in found.items():
            name = known.get(place) or self._new_name(source, model, place, taken)
            if name is not None:
                taken.add(name)
                self.result.wanted.append(WantedModel(name, source, spec))
        if self.retire:
            self._retire(gone - taken)
        return self.result

    def _found(self) -> dict[Identity, tuple[str, Discovered, dict[str, Any]]]:
        """What is to be a ShimmyModel: the first of several sources that find a file has it."""
        ours = {_identity(model) for model in self.ours.values()}
        by_hand = {_identity(model) for model in self.by_hand.values()} - ours
        found: dict[Identity, tuple[str, Discovered, dict[str, Any]]] = {}
        for one in self.seen:
            for model in one.report.models if one.report else ():
                spec = model_spec(model)
                problem = _problem(model, spec, one.source)
                if problem is not None or spec is None:
                    self._skip(one.source.name, model.path, *(problem or ("BaseNotFound", _no_base(model))))
                elif (place := identity(spec["backend"])) not in by_hand:
                    found.setdefault(place, (one.source.name, model, spec))
        return found

    def _new_name(self, source: str, model: Discovered, place: Identity, taken: Collection[str]) -> str | None:
        if model.name in self.by_hand:
            message = f"a ShimmyModel {model.name} that discovery did not make has this name; it stays as it is"
            self._skip(source, model.path, "NameTaken", message)
            return None
        return distinct(model.name, repr(place), {*taken, *self.by_hand})

    def _is_gone(self, model: Manifest) -> bool:
        """Whether the absence of the model's file from what was found means that there is no such file any more."""
        by = _discovered_by(model)
        source = next((one for one in self.seen if one.source.name == by), None)
        return source is None or (source.report is not None and source.report.complete)

    def _retire(self, gone: Iterable[str]) -> None:
        for name in sorted(gone):
            if name not in self.served:
                self.result.retired.append(self.ours[name])
                continue
            source = _discovered_by(self.ours[name]) or ""
            message = (
                f"its file is gone, but an instance serves ShimmyModel {name}; take it out of the instance's models"
            )
            self._skip(source, name, "InUse", message)

    def _skip(self, source: str, path: str, reason: str, message: str) -> None:
        self.result.skips.setdefault(source, []).append(skipped(path, reason, message))


def _problem(model: Discovered, spec: dict[str, Any] | None, source: DiscoverySource) -> tuple[str, str] | None:
    """Why a model of a report, which its tenant can write, is none of this source, or is not wanted."""
    if spec and "huggingFace" in spec["backend"] and not source.convert:
        return "NotConverted", "it would have to be converted, and `convert` of the source says not to"
    inside = source.source.rstrip("/") + "/"
    try:
        for place in (model.source, *([model.base_source] if model.base_source else [])):
            if place is None or not place.startswith(inside) or any(map(str.isspace, place)):
                raise ValueError(f"{place!r} does not lie in {inside}")
            parse_source(place)
    except ValueError as error:
        return "Outside", str(error)
    return None


def _no_base(model: Discovered) -> str:
    return (
        f"its base {model.base!r} is not, or not only once, among the models of this source; put it there, or name it "
        f'in {model.path}.shimmy.json: {{"base": "PATH OR NAME"}}'
    )


def _discovered_by(model: Manifest) -> str | None:
    found: str | None = (model["metadata"].get("labels") or {}).get(names.LABEL_DISCOVERED_BY)
    return found


def _identity(model: Manifest) -> Identity:
    return identity(model["spec"]["backend"])
