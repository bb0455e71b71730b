"""The faults. Each part that dies is started anew, and each is over when everything is as before."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from tests.dataplane.plane import START, Plane, key_of, model
from tests.dataplane.rollout import replace

from devkit.bench.faults.parts import TENANTS, World, pod_of
from devkit.bench.faults.seen import Fault
from devkit.waiting import until

NOTICED_SECONDS: Final = 1.0
"""After which the Service forgets a dead router: the kubelet looks once a second which containers run."""


def kill_pod(world: World, number: int) -> Fault:
    """Kill -9 a pod; over when both routers send requests to it again."""
    pod = world.pods[number % len(world.pods)]
    began = time.monotonic()
    pod.kill()
    pod.start()
    for router in world.routers:
        until(lambda router=router: pod_of(router) == pod.name, pod.name, seconds=START)  # type: ignore[misc]
    return Fault(began, time.monotonic(), pod=pod.name)


def kill_agent(world: World, number: int) -> Fault:
    """Kill -9 an agent; over when a change that was made in between is served."""
    router = world.routers[number % len(world.routers)]
    name = f"later-{number}"
    began = time.monotonic()
    router.kill_agent()
    world.objects.write("later", model(TENANTS[0], name))
    router.start_agent()
    until(lambda: name in _models(router), "the change", seconds=START)
    return Fault(began, time.monotonic())


def kill_router(world: World, number: int) -> Fault:
    """Kill -9 an Envoy; over when it is back in the Service."""
    router = world.routers[number % len(world.routers)]
    every = world.service.endpoints
    began = time.monotonic()
    router.kill_envoy()
    time.sleep(NOTICED_SECONDS)
    world.service.endpoints = tuple(port for port in every if port != router.port)
    left = time.monotonic()
    router.start_envoy()
    until(router.ready, "the router", seconds=START)
    until(lambda: pod_of(router), "the router's answer", seconds=START)
    world.service.endpoints = every
    return Fault(began, time.monotonic(), router=router.port, left=left)


def roll_router(world: World, number: int) -> Fault:
    """Replace a router by a new one; over when the old one has ended."""
    place = number % len(world.routers)
    began = time.monotonic()
    old, new = world.routers[place], world.start_router()
    replace(old, new, world.service)
    world.routers[place] = new
    return Fault(began, time.monotonic())


KINDS: Final[Mapping[str, Callable[[World, int], Fault]]] = {
    "pod": kill_pod,
    "agent": kill_agent,
    "envoy": kill_router,
    "roll": roll_router,
}


def _models(router: Plane) -> str:
    with router.client(key_of(TENANTS[0])) as client:
        return client.get("/v1/models").text
