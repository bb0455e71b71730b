"""Starts and stops development clusters: one path for all three profiles."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import yaml

from devkit import binaries, ports
from devkit.cluster import audit_policy, control_plane, simulated
from devkit.cluster.cluster import ADMINISTRATOR, Cluster, ClusterError
from devkit.cluster.kind import runtime
from devkit.cluster.node import network, prerequisites, programs, system_images
from devkit.cluster.node.settings import Node
from devkit.cluster.removal import locked, remove, tear_down
from devkit.cluster.state import Profile, State, kubeconfig
from devkit.paths import clusters
from devkit.pki import Authority, service_account_key
from devkit.processes import record
from devkit.progress import say
from devkit.waiting import until

_SERVICE_RANGE: Final = "10.96.0.0/16"
_POD_RANGE: Final = "10.244.0.0/16"
_CONTROLLER_SECONDS: Final = 60
_NAME: Final = re.compile("[a-z][a-z0-9-]{0,29}")
_PORT_NAMES: Final = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


def start(
    profile: Profile,
    name: str,
    state_dir: Path | None = None,
    *,
    durable: bool = False,
    nodes: int | None = None,
    gpus: int | None = None,
    metrics: bool = False,
    owned: bool = False,
) -> Cluster:
    """Start the cluster `name`, or return it where it runs already with this profile.

    Args:
        profile: see the package; `kind` is the profile `node` in Docker.
        name: also the end of its kube context.
        state_dir: its folder; by default one in the user's cache, where hack/cluster finds it.
        durable: let etcd wait for the disk.
        nodes: simulated nodes; by default 2 in the profile `cluster` and none in the others.
        gpus: of nvidia.com/gpu that each node says it has, by default 8 on simulated nodes and none on a real one.
        metrics: run metrics-server on the real node and wait for it (20 s).
        owned: the cluster ends with this process: the next start removes it if this process did not.

    Raises:
        ClusterError: it runs with another profile, an option does not fit, or a part of it does not start.
        KindError: Docker does not answer, or kind failed.
        MissingError: this machine cannot run a real node.
        binaries.BinaryError: a program is missing and cannot be built.
    """
    check_name(name)
    _check_machine(profile, metrics=metrics)
    remove_orphans()
    state = State(
        name=name,
        profile=profile,
        host="127.0.0.1",
        ports=dict(zip(_PORT_NAMES, ports.free(len(_PORT_NAMES)), strict=True)),
        service_range=_SERVICE_RANGE,
        pod_range=_POD_RANGE,
        durable=durable,
        nodes=(2 if profile == "cluster" else 0) if nodes is None else nodes,
        gpus=(8 if profile == "cluster" else 0) if gpus is None else gpus,
        metrics=metrics,
        owner=record("owner", os.getpid()) if owned else None,
    )
    return _started(state_dir or clusters() / name, state)


def _check_machine(profile: Profile, *, metrics: bool) -> None:
    """Whether the profile can start here; errors as in `start`."""
    if metrics and profile != "node":
        raise ClusterError(f"metrics-server needs a real node, and profile {profile} starts none")
    if profile == "node":
        prerequisites.require()
    if profile == "kind":
        runtime.require()


def _started(folder: Path, state: State) -> Cluster:
    """The cluster of `state`, running: the one that runs already, or a new one in place of what a crash left."""
    with locked(folder):
        old = State.read(folder)
        if old is not None and Cluster(folder, old).alive():
            if old.profile == state.profile:
                return Cluster(folder, old)
            raise ClusterError(
                f"{old.name} runs with profile {old.profile}; stop it first: hack/cluster down {old.name}"
            )
        remove(folder)
        _ensure_programs(state)
        cluster = Cluster(folder, _settled(folder, state))
        try:
            _start(cluster)
        except BaseException:
            tear_down(folder)
            raise
        return cluster


def check_name(name: str) -> None:
    """A cluster's name becomes part of a kube context, a network namespace and a cgroup.

    Raises:
        ClusterError: it is no DNS label of at most 30 characters.
    """
    if not _NAME.fullmatch(name):
        raise ClusterError(f"bad name {name!r}: at most 30 lower case letters, digits and '-', a letter first")


def running() -> list[Cluster]:
    """Every cluster in the user's cache, whether it runs or was left over."""
    folders = sorted(clusters().glob("*/")) if clusters().is_dir() else []
    states = ((folder, State.read(folder)) for folder in folders)
    return [Cluster(folder, state) for folder, state in states if state]


def remove_orphans() -> None:
    """Remove every cluster whose owner has ended without removing it."""
    for cluster in running():
        if _is_orphan(cluster.folder):
            with locked(cluster.folder):
                if _is_orphan(cluster.folder):
                    say(f"removing {cluster.name}: the process that started it has ended")
                    remove(cluster.folder)


def _is_orphan(folder: Path) -> bool:
    state = State.read(folder)
    return state is not None and state.owner is not None and not state.owner.alive()


def _ensure_programs(state: State) -> None:
    """Build what is missing, which may take minutes: before anything runs."""
    names = ["kubectl", "kind"] if state.profile == "kind" else ["kubectl", "etcd", "kube-apiserver"]
    if state.profile in {"cluster", "node"}:
        names += ["kube-controller-manager", "kube-scheduler"]
    if state.nodes:
        names += ["kwok"]
    for name in names:
        binaries.ensure(name)
    if state.profile == "node":
        binaries.ensure("kube-router")
        system_images.build(metrics=state.metrics)


def _settled(folder: Path, state: State) -> State:
    """Write the state down, a real node's network chosen so that no two clusters take the same."""
    if state.profile != "node":
        state.write(folder)
        return state
    with locked(clusters()):
        taken = [c.state.network for c in running() if c.state.network is not None]
        plan = network.choose(taken, network.routes())
        settled = replace(
            state,
            host=plan.machine,
            network=plan.number,
            service_range=str(plan.services),
            pod_range=str(plan.pods),
        )
        settled.write(folder)
    return settled


def _start(cluster: Cluster) -> None:
    state, layout = cluster.state, cluster.layout
    layout.audit_policy.write_text(yaml.safe_dump(audit_policy.POLICY, sort_keys=False), encoding="utf-8")
    if state.profile == "kind":
        _start_kind(cluster)
        return
    _write_files(cluster)
    if state.profile == "node":
        programs.prepare(Node(state, layout))
    cluster.processes.start("etcd", [str(binaries.ensure("etcd")), *control_plane.etcd(state, layout)])
    cluster.start_apiserver()
    if state.profile == "api":
        return
    _start_controllers(cluster)
    if state.profile == "node":
        programs.start(cluster)
    if state.nodes:
        simulated.start(cluster)


def _write_files(cluster: Cluster) -> None:
    """Keys, certificates and the administrator's kubeconfig."""
    layout, state = cluster.layout, cluster.state
    layout.pki.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = Authority(layout.pki, "ca")
    authority.server("etcd", ["127.0.0.1", "localhost"])
    authority.server("kube-apiserver", control_plane.server_hosts(state))
    authority.client("kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"])
    Authority(layout.pki, "front-proxy-ca").client("front-proxy-client", "front-proxy-client")
    service_account_key(Path(layout.key("service-account")))
    _write_kubeconfig(cluster, authority)


def _write_kubeconfig(cluster: Cluster, authority: Authority) -> None:
    path, state = cluster.layout.kubeconfig, cluster.state
    administrator = authority.client(ADMINISTRATOR, ADMINISTRATOR, ["system:masters"])
    path.touch(mode=0o600)
    text = kubeconfig(state.context, state.server, authority.files.certificate, administrator)
    path.write_text(text, encoding="utf-8")


def _start_kind(cluster: Cluster) -> None:
    """With the authority of kind's own cluster, the rest is as everywhere."""
    runtime.create(cluster.state, cluster.layout)
    _write_kubeconfig(cluster, Authority(cluster.layout.pki, "ca"))
    if cluster.state.gpus:
        simulated.offer_gpus(cluster.client, runtime.node(cluster.state), cluster.state.gpus)


def _start_controllers(cluster: Cluster) -> None:
    """Start the controllers and the scheduler, and wait until namespaces get their ServiceAccount."""
    commands = {
        "kube-controller-manager": control_plane.controller_manager,
        "kube-scheduler": control_plane.scheduler,
    }
    for name, arguments in commands.items():
        cluster.credentials(f"system:{name}").rename(cluster.layout.user_config(name))
        program = str(binaries.ensure(name))
        cluster.processes.start(name, [program, *arguments(cluster.state, cluster.layout)])
    client = cluster.client
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    until(lambda: client.find(account), "the controllers work", seconds=_CONTROLLER_SECONDS)
