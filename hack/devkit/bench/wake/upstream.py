"""Other projects' own manifests, made to fit one node without a registry."""

import copy
import json
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from devkit.bench.wake.subject import UnavailableError
from devkit.binaries import BinaryError, built
from devkit.cluster import Cluster
from devkit.cluster.node import archive
from devkit.cluster.node.archive import Image
from devkit.cluster.node.system_images import REGISTRY
from devkit.recipes import Recipe

_ROLLOUT_SECONDS: Final = 300
_USER: Final = "65532:65532"

Objects = list[dict[str, Any]]


def image(recipe: Recipe) -> str:
    """Name of the image with the recipe's program."""
    return f"{REGISTRY}/{recipe.output}:1"


def build(recipes: Iterable[Recipe]) -> None:
    """Build the programs.

    Raises:
        UnavailableError: one cannot be built, e.g. because its module cannot be downloaded.
    """
    for recipe in recipes:
        try:
            built(recipe)
        except BinaryError as error:
            raise UnavailableError(str(error).splitlines()[0]) from error


def source(recipe: Recipe) -> Path:
    """The folder with the recipe's module, downloaded where it is missing.

    Raises:
        UnavailableError: it cannot be downloaded.
    """
    command = ["go", "mod", "download", "-json", recipe.module]
    done = subprocess.run(command, cwd=recipe.path, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"{recipe.module}: {done.stderr.strip() or done.stdout.strip()}")
    return Path(json.loads(done.stdout)["Dir"])


def load(cluster: Cluster, programs: Mapping[Recipe, str]) -> None:
    """Load an image for each recipe into the node, with the program at a path of its own, which starts it."""
    images = [Image(image(recipe), [at], _USER, {at: built(recipe) / recipe.output}) for recipe, at in programs.items()]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "images.tar"
        archive.write(path, images)
        cluster.load([path])


def adapted(
    objects: Iterable[Mapping[str, Any]],
    images: Mapping[str, str],
    environment: Mapping[str, str],
    dropped: Collection[tuple[str, str]] = (),
) -> Objects:
    """Manifests with images of ours and one pod each. Pure.

    Args:
        objects: the manifests.
        images: by the name of the container.
        environment: variables of every container.
        dropped: kind and name of objects to leave out.
    """
    kept = [copy.deepcopy(dict(one)) for one in objects if (one["kind"], one["metadata"]["name"]) not in dropped]
    for one in kept:
        if one["kind"] == "Deployment":
            one["spec"]["replicas"] = 1
            for container in one["spec"]["template"]["spec"]["containers"]:
                container |= {"image": images[container["name"]], "imagePullPolicy": "Never"}
                others = [entry for entry in container.get("env", []) if entry["name"] not in environment]
                container["env"] = others + [{"name": name, "value": value} for name, value in environment.items()]
    return kept


def apply(cluster: Cluster, objects: Iterable[Mapping[str, Any]], namespace: str = "default") -> None:
    """Apply manifests, into `namespace` where they name none, and wait for their Deployments.

    Raises:
        ClusterError: they are refused, or a Deployment does not become available.
    """
    every = list(objects)
    elsewhere = any(one["metadata"].get("namespace", namespace) != namespace for one in every)
    scope = () if elsewhere else ("-n", namespace)
    cluster.kubectl("apply", "--server-side", *scope, "-f", "-", standard_input=yaml.safe_dump_all(every))
    for one in every:
        if one["kind"] == "Deployment" and one["spec"].get("replicas", 1):
            of = ("-n", one["metadata"].get("namespace", namespace), f"deployment/{one['metadata']['name']}")
            cluster.kubectl("rollout", "status", *of, f"--timeout={_ROLLOUT_SECONDS}s")
