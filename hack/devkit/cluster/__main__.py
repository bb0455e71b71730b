"""Command line of `hack/cluster`."""

import argparse
import sys
import time
from pathlib import Path

from devkit import binaries
from devkit.cluster import lifecycle, removal
from devkit.cluster.cluster import Cluster, ClusterError
from devkit.cluster.kind.runtime import KindError
from devkit.packages import MissingError
from devkit.paths import clusters
from devkit.progress import say


def main() -> None:
    """Run one command; what a program may read goes to standard output, all else to standard error."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except (ClusterError, binaries.BinaryError, MissingError, KindError, OSError) as error:
        sys.exit(f"hack/cluster: {error}")


def _up(arguments: argparse.Namespace) -> None:
    start = time.monotonic()
    cluster = lifecycle.start(
        arguments.profile,
        arguments.name,
        durable=arguments.durable,
        nodes=arguments.nodes,
        gpus=arguments.gpus,
        metrics=arguments.metrics,
    )
    say(f"{cluster.name} ({cluster.state.profile}) is up after {time.monotonic() - start:.1f} s")
    print(cluster.kubeconfig)
    say(f"try: KUBECONFIG={cluster.kubeconfig} {binaries.ensure('kubectl')} get namespaces")


def _down(arguments: argparse.Namespace) -> None:
    if arguments.all:
        for cluster in lifecycle.running():
            say(f"stopping {cluster.name}")
            cluster.stop()
        return
    if not (clusters() / arguments.name).exists():
        say(f"no cluster {arguments.name}")
    removal.stop(clusters() / arguments.name)


def _load(arguments: argparse.Namespace) -> None:
    cluster = Cluster.open(clusters() / arguments.name)
    for image in cluster.load(arguments.archives):
        print(image)


def _status(_: argparse.Namespace) -> None:
    rows = [("CLUSTER", "PROFILE", "STATE", "CONTEXT", "KUBECONFIG", "PROCESSES")]
    for cluster in lifecycle.running():
        state = "up" if cluster.alive() else "left-over"
        kubeconfig = str(cluster.kubeconfig)
        rows.append((cluster.name, cluster.state.profile, state, cluster.context, kubeconfig, _processes(cluster)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _processes(cluster: Cluster) -> str:
    return ",".join(f"{known.name}={known.pid if known.alive() else 'ended'}" for known in cluster.processes.all())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster", description="Starts and stops real Kubernetes clusters for development and tests."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start a cluster, or say where it is if it runs")
    up.add_argument(
        "--profile",
        choices=("api", "cluster", "node"),
        default="cluster",
        help="api: etcd and kube-apiserver; cluster: controllers, scheduler and simulated nodes too; node: a real "
        "node on this machine (root); default: cluster",
    )
    up.add_argument("--kind", action="store_const", const="kind", dest="profile", help="a node on kind, in Docker")
    up.add_argument("--durable", action="store_true", help="let etcd wait for the disk")
    up.add_argument("--nodes", type=int, help="simulated nodes (default: 2 with profile cluster, else none)")
    up.add_argument("--gpus", type=int, help="nvidia.com/gpu that each node says it has (default: simulated 8, real 0)")
    up.add_argument("--metrics", action="store_true", help="run metrics-server on the real node (20 s more)")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="stop a cluster and remove all of it, also after a crash")
    down.add_argument("--all", action="store_true", help="every cluster that was started here")
    down.set_defaults(run=_down)
    load = commands.add_parser("load", help="load images into the real node, and list the images that it then has")
    load.add_argument("archives", nargs="+", type=Path, metavar="TAR", help="docker-archive or OCI archive")
    load.add_argument("--name", default="dev", help="name of the cluster (default: dev)")
    load.set_defaults(run=_load)
    status = commands.add_parser("status", help="list the clusters")
    status.set_defaults(run=_status)
    for command in (up, down):
        command.add_argument("name", nargs="?", default="dev", help="name of the cluster (default: dev)")
    return parser


if __name__ == "__main__":
    main()
