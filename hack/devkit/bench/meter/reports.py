"""What routers report in the benchmark. Pure, but for the chance that it is given."""

import random
from typing import Final

from shimmy_api.load import DeploymentLoad, LoadReport, PodLoad

_MODELS: Final = 10
"""Of each namespace."""


def report(router: str, deployments: int, chance: random.Random | None) -> bytes:
    """The report of one second: of chance's making, or of a fleet at rest if there is none."""
    loads = tuple(_load(number, chance) for number in range(deployments))
    return LoadReport(router=router, loads=loads).model_dump_json(by_alias=True).encode()


def _load(number: int, chance: random.Random | None) -> DeploymentLoad:
    model = f"model-{number % _MODELS}"
    deployment = f"pool-{model}-{number}"
    pods = {f"{deployment}-7d9c5b8f4-{end}{number:04}": _pod(chance) for end in "xy"}
    return DeploymentLoad(
        namespace=f"shimmy-t{number // _MODELS}",
        deployment=deployment,
        instance="pool",
        model=model,
        pods=pods,
        tokens_per_second=chance.uniform(0, 500) if chance else 0.0,
        first_byte_seconds=chance.random() if chance else None,
    )


def _pod(chance: random.Random | None) -> PodLoad:
    return PodLoad(in_flight=chance.randrange(8), queued=chance.randrange(4)) if chance else PodLoad()
