"""The fleet's objects, on whose pods load decides. Pure."""

from collections.abc import Iterator
from typing import Final

from devkit.bench.fleet import objects
from devkit.bench.fleet.objects import Object, Size

_CONDITIONS: Final = {"ready": True, "terminating": False}


def fleet(size: Size, pods: int, port: int) -> Iterator[Object]:
    """All objects; each model has so many pods, and each of these an address of its own."""
    number = 0
    for made in objects.fleet(size, port):
        if made["kind"] == "ShimmyInstance":
            made["spec"]["autoscaling"] = {"minReplicas": 0, "maxReplicas": size.models * pods}
        if made["kind"] == "EndpointSlice":
            made["endpoints"] = [_endpoint(made["metadata"], number + turn) for turn in range(pods)]
            number += pods
        yield made


def _endpoint(metadata: Object, number: int) -> Object:
    pod = {"kind": "Pod", "name": f"{metadata['name']}-7d9c5b8f4-{number:05}", "namespace": metadata["namespace"]}
    return {"addresses": [_address(number)], "conditions": _CONDITIONS, "targetRef": pod}


def _address(number: int) -> str:
    return f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
