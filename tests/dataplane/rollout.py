"""One router takes another one's place, as in the rollout of a Deployment."""

import threading

from tests.dataplane.balancer import Balancer
from tests.dataplane.plane import START, Plane

from devkit.waiting import until


def replace(old: Plane, new: Plane, service: Balancer) -> None:
    """As a Deployment, the kubelet and kube-proxy do it together; endpoints change when readiness has failed."""
    ports = [port for port in service.endpoints if port != old.port]
    service.endpoints = (*service.endpoints, new.port)
    leaving = threading.Thread(target=old.drain)
    leaving.start()
    until(lambda: not old.ready(), "the old router is not ready", seconds=START)
    service.endpoints = (*ports, new.port)
    leaving.join(START)
    old.stop()
