"""Puts a report of loads together. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shimmy_api import names
from shimmy_api.load import DeploymentLoad, LoadReport, PodLoad
from shimmy_router.fleet import Model, Pool


@dataclass(frozen=True, slots=True)
class ModelLoad:
    """A model on whose pods load decides, and what this router knows of it."""

    namespace: str
    model: Model
    pods: Mapping[str, PodLoad]
    """By name."""
    held: int = 0
    holding: bool = False
    tokens_per_second: float = 0.0
    first_byte_seconds: float | None = None


def report(router: str, loads: Iterable[ModelLoad]) -> LoadReport:
    """The whole report."""
    groups: defaultdict[tuple[str, str], list[tuple[Pool, ModelLoad]]] = defaultdict(list)
    for load in loads:
        for pool in load.model.pools:
            groups[load.namespace, pool.deployment].append((pool, load))
    return LoadReport(router=router, loads=tuple(_deployment(*place, group) for place, group in sorted(groups.items())))


def _deployment(namespace: str, deployment: str, group: list[tuple[Pool, ModelLoad]]) -> DeploymentLoad:
    """Of one Deployment, from all models that its pods serve."""
    # What waits for a model, and what it has answered, is of the first of its Deployments: of all it would count twice.
    own = [load for pool, load in group if load.model.pools[0] == pool]
    pool, first = group[0]
    return DeploymentLoad(
        namespace=namespace,
        deployment=deployment,
        instance=pool.instance,
        model="" if pool.shared else first.model.name,
        pods=dict(_pods(group)),
        held=sum(load.held for load in own),
        holding=all(load.holding for _, load in group),
        tokens_per_second=sum(load.tokens_per_second for load in own),
        first_byte_seconds=max(
            (load.first_byte_seconds for load in own if load.first_byte_seconds is not None), default=None
        ),
    )


def _pods(group: list[tuple[Pool, ModelLoad]]) -> Iterator[tuple[str, PodLoad]]:
    for pool, load in group:
        instance = names.bounded(pool.instance)
        for endpoint in load.model.endpoints:
            if endpoint.instance == instance and endpoint.pod in load.pods:
                yield endpoint.pod, load.pods[endpoint.pod]
