"""How fast models answer, counted from what Envoy says of each request. Pure."""

from collections import defaultdict
from dataclasses import dataclass

from shimmy_router.entries import Entry
from shimmy_router.fleet import Tenant


@dataclass(slots=True)
class Rate:
    """Of one model, since the last look."""

    tokens: int = 0
    first_byte_seconds: float | None = None
    """The longest."""


class Rates:
    """Of the models on whose pods load decides."""

    def __init__(self) -> None:
        self._clusters: dict[tuple[str, str], str] = {}
        """By the tenant that asks and the model's name."""
        self._names: dict[str, set[tuple[str, str]]] = {}
        self._rates: defaultdict[str, Rate] = defaultdict(Rate)

    def follow(self, name: str, tenant: Tenant | None) -> None:
        """The tenant is so from now on, or is gone."""
        for place in self._names.pop(name, set()):
            del self._clusters[place]
        found = {(name, model.name): model.cluster for model in tenant.models if model.hold} if tenant else {}
        self._clusters.update(found)
        if found:
            self._names[name] = set(found)

    def count(self, entry: Entry) -> None:
        """Take one request."""
        cluster = self._clusters.get((entry.tenant, entry.served or entry.asked))
        if cluster is None:
            return
        rate = self._rates[cluster]
        rate.tokens += entry.completion_tokens or 0
        if entry.first_byte_seconds is not None:
            rate.first_byte_seconds = max(rate.first_byte_seconds or 0.0, entry.first_byte_seconds)

    def take(self) -> dict[str, Rate]:
        """By cluster, what came since the last time."""
        found, self._rates = dict(self._rates), defaultdict(Rate)
        return found
