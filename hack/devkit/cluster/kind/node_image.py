"""The image of a kind node: pulled where a registry has it, else built here from Debian and our own Kubernetes."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final

from devkit import binaries
from devkit.cluster.node import archive, system_images
from devkit.cluster.node.archive import Image
from devkit.images.base import DEBIAN_12, debian
from devkit.images.builder import Builder, ImageError
from devkit.packages import search_path
from devkit.paths import cache
from devkit.progress import step
from devkit.recipes import KUBERNETES, RECIPES

SERVICES: Final = "10.96.0.0/16"
_HERE: Final = Path(__file__).parent
_STORAGE: Final = Path(system_images.__file__).parent / "manifests" / "storage.yaml"
_PUBLIC: Final = "docker.io/kindest/node"
_BUILT: Final = "shimmy-dev/kind-node"
_CODE: Final = (archive.__file__, system_images.__file__)
_PULL_SECONDS: Final = 300
_CNID: Final = f"{system_images.REGISTRY}/cnid:1"
_FIREWALL: Final = f"{system_images.REGISTRY}/kube-router:1"
_CONTROL_PLANE: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
_SANDBOX: Final = "registry.k8s.io/pause:3.10"
"""The pause image that kind's own containerd configuration names."""
_IPTABLES: Final = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")


def ensure(builder: Builder) -> str:
    """Reference of the node image: $SHIMMY_KIND_IMAGE, else what is there, else pulled, else built (2 minutes).

    Raises:
        ImageError: it can be neither pulled nor built.
    """
    if named := os.environ.get("SHIMMY_KIND_IMAGE"):
        return named
    built = f"{_BUILT}:{KUBERNETES.version()}-{_digest()}"
    public = f"{_PUBLIC}:{KUBERNETES.version()}"
    for reference in (public, built):
        if builder.exists(reference):
            return reference
    if builder.pull(public, _PULL_SECONDS):
        return public
    with step("building a kind node image, for no registry has one"):
        _build(builder, built)
    return built


def _build(builder: Builder, tag: str) -> None:
    folder = cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "kind-node.log"
    log.unlink(missing_ok=True)
    # Debian 13's systemd starts on cgroup version 2 only; Debian 12's starts on both.
    base = debian(builder, DEBIAN_12)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        context = Path(scratch)
        _lay_out(context)
        builder.build(context, target="node", tag=tag, arguments={"BASE_IMAGE": base}, labels={}, log=log)


def _lay_out(context: Path) -> None:
    """Write the build's context."""
    shutil.copy(_HERE / "Dockerfile", context)
    shutil.copytree(_kind_module() / "images" / "base" / "files", context / "kind")
    shutil.copy(binaries.ensure("kubelet").resolve(), context / "hyper")
    (context / "version").write_text(KUBERNETES.version(), encoding="ascii")
    (context / "manifests").mkdir()
    names = {
        "cnid": _CNID,
        "firewall": _FIREWALL,
        "services": SERVICES,
        "provisioner": system_images.PROVISIONER,
        "shell": system_images.SHELL,
        "volumes": "/var/local-path-provisioner",
    }
    for name, source in (("default-cni", _HERE / "manifests" / "default-cni.yaml"), ("default-storage", _STORAGE)):
        text = Template(source.read_text(encoding="utf-8")).substitute(names)
        (context / "manifests" / f"{name}.yaml").write_text(text, encoding="utf-8")
    archive.write(context / "images.tar", _images())


def _images() -> list[Image]:
    """What kubeadm starts, by the names that it asks for, and what our manifests start."""
    kubeadm = [str(binaries.built(KUBERNETES) / "kubeadm"), "config", "images", "list"]
    listed = subprocess.check_output([*kubeadm, f"--kubernetes-version={KUBERNETES.version()}"], text=True).split()
    tags = {re.sub(r".*/([^/]+):[^:]+$", r"\1", reference): reference for reference in listed}
    hyper = binaries.built(KUBERNETES) / KUBERNETES.output
    network = _with_libraries(["xtables-nft-multi"])
    links = {f"/usr/sbin/{name}": "xtables-nft-multi" for name in _IPTABLES}
    server_files = network | {"/usr/local/bin/hyper": hyper}
    server_links = links | {f"/usr/local/bin/{name}": "hyper" for name in _CONTROL_PLANE}
    router = {"/usr/local/bin/kube-router": binaries.ensure("kube-router")}
    cnid = {"/cnid": binaries.ensure("cnid"), "/bin/busybox": Path(_program("busybox"))}
    etcd = {"/usr/local/bin/etcd": binaries.ensure("etcd")}
    return [
        *(Image(tags[n], [f"/usr/local/bin/{n}"], files=server_files, links=server_links) for n in _CONTROL_PLANE),
        Image(tags["etcd"], ["/usr/local/bin/etcd"], files=etcd),
        Image(tags["coredns"], ["/coredns"], files={"/coredns": binaries.ensure("coredns")}),
        *(
            Image(tag, ["/pause"], "65535:65535", {"/pause": binaries.ensure("pause")})
            for tag in (tags["pause"], _SANDBOX)
        ),
        Image(_CNID, ["/cnid"], files=cnid),
        Image(
            _FIREWALL,
            ["/usr/local/bin/kube-router"],
            files=network | _with_libraries(["ipset"]) | router,
            links=links,
            folders={"/tmp": 0o1777},  # noqa: S108 - a folder inside an image
        ),
        *system_images.images(),
    ]


def _with_libraries(programs: Sequence[str]) -> dict[str, Path]:
    """Programs of this machine with the libraries that they load, by their paths."""
    plugins = [str(path) for path in Path("/usr/lib").glob("*/xtables/*.so")]
    wanted = [_program(name) for name in programs] + plugins
    files: dict[str, Path] = {}
    while wanted:
        name = wanted.pop()
        if name in files:
            continue
        files[name] = Path(name).resolve()
        told = subprocess.run(["ldd", name], capture_output=True, text=True, check=False).stdout
        wanted += [found for found in re.findall(r"(/\S+\.so\S*)", told) if Path(found).exists()]
    return files


def _program(name: str) -> str:
    path = shutil.which(name, path=search_path())
    if path is None:
        raise ImageError(f"{name} is needed: apt-get install iptables ipset busybox-static")
    return path


def _kind_module() -> Path:
    """Source of the kind that is pinned in hack/go/kind: its node files are no part of its program."""
    recipe = RECIPES["kind"]
    command = ["go", "mod", "download", "-json", recipe.module]
    return Path(json.loads(subprocess.check_output(command, cwd=recipe.path))["Dir"])


def _digest() -> str:
    """Names everything the image is made from."""
    digest = hashlib.sha256()
    manifests = sorted((_HERE / "manifests").glob("*.yaml"))
    for path in (Path(__file__), _HERE / "Dockerfile", _STORAGE, *manifests, *map(Path, _CODE)):
        digest.update(path.read_bytes())
    for name in ("hyper", "etcd", "coredns", "kube-router", "cnid", "pause", "echo", "local-path-provisioner"):
        digest.update(str(binaries.ensure(name if name in RECIPES else "kubelet").parent).encode())
    return digest.hexdigest()[:12]
