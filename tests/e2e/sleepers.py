"""An instance without a pod while nobody asks for its model, in the room of the demo's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import yaml
from tests.e2e.pods import engines

from devkit.demo.fleet import INSTANCE, MODEL, NAMESPACE, Fleet
from devkit.demo.sleeper import sleeper as manifest
from devkit.waiting import until
from shimmy_api import names

NAME = "sleeper"
SLEEP_SECONDS = 120
"""Ten without a request, thirty for which a peak counts, and what the routers need to agree and the pod to go."""
_DEPLOYMENT = names.serving(NAME, MODEL)


@contextmanager
def sleeper(fleet: Fleet) -> Iterator[None]:
    """Have it for a while."""
    scale = ("scale", f"shimmyinstance/{INSTANCE}", "-n", NAMESPACE)
    fleet.kubectl.run(*scale, "--replicas=0")
    try:
        until(lambda: not engines(fleet), "the demo's pod is gone", seconds=90, every=1)
        # Two pods of a tenant's own router fit beside it on two cores.
        fleet.kubectl.apply(yaml.safe_dump(manifest(NAME, cpu="700m")))
        yield
    finally:
        fleet.kubectl.run("delete", "shimmyinstance", "-n", NAMESPACE, NAME, "--ignore-not-found")
        fleet.kubectl.run(*scale, "--replicas=1")
        fleet.kubectl.wait_ready("shimmyinstance", INSTANCE, NAMESPACE)


def asked(fleet: Fleet, url: str) -> httpx.Response:
    """A chat with its model."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    headers = {"authorization": f"Bearer {fleet.key()}"}
    return httpx.post(f"{url}/chat/completions", json=body, headers=headers, timeout=180)


def model(fleet: Fleet) -> dict[str, Any]:
    """What its status says of the model."""
    found = fleet.kubectl.get("shimmyinstance", NAME, NAMESPACE) or {}
    models = found.get("status", {}).get("models") or [{}]
    return dict(models[0])


def replicas(fleet: Fleet) -> int | None:
    """Pods that are wanted; None where there is no Deployment."""
    found = fleet.kubectl.get("deployment", _DEPLOYMENT, NAMESPACE)
    return int(found["spec"]["replicas"]) if found else None


def sleeps(fleet: Fleet) -> bool:
    """Whether it has no pod, and says so."""
    return replicas(fleet) == 0 and model(fleet).get("state") == "AtZero"
