"""`hack/bench wake`: how long a request waits for a workload that has no pod."""

import argparse
import os
from collections.abc import Sequence
from typing import Any, Final

from devkit import cluster
from devkit.bench.engine.watch import load_average
from devkit.bench.wake.keda.subject import FASTEST, Keda
from devkit.bench.wake.kubeai.subject import KubeAi
from devkit.bench.wake.published import PUBLISHED
from devkit.bench.wake.rounds import Result, measure
from devkit.bench.wake.shimmy import Shimmy
from devkit.bench.wake.subject import Subject, UnavailableError
from devkit.bench.wake.table import rows
from devkit.cluster import ClusterError
from devkit.progress import say

PEERS: Final[Sequence[Subject]] = (
    Keda("KEDA HTTP add-on"),
    Keda("KEDA, fastest", FASTEST),
    KubeAi("KubeAI"),
)
OWN: Final[Sequence[Subject]] = (Shimmy(),)
"""This project's, which are always measured."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("wake", help="how long a request waits for a workload without a pod; needs root")
    command.add_argument("--times", type=int, default=20, help="that each is woken (default: 20)")
    command.add_argument("--peers", action="store_true", help="KEDA's HTTP add-on and KubeAI, built from Go modules")
    command.add_argument("--only", action="append", metavar="TITLE", help="one of these, once or more (default: all)")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> bool:
    offered = {one.title: one for one in (*OWN, *(PEERS if arguments.peers else ()))}
    if unknown := set(arguments.only or ()) - offered.keys():
        raise RuntimeError(f"no subject {', '.join(sorted(unknown))}, but: {', '.join(offered) or 'none; try --peers'}")
    results: dict[str, Result] = {}
    missing: dict[str, str] = {}
    for title in arguments.only or offered:
        try:
            results[title] = _measure(offered[title], arguments.times)
        except (UnavailableError, ClusterError, TimeoutError, LookupError) as error:
            missing[title] = str(error)
    for line in rows(results):
        print(line)
    for title, reason in missing.items():
        print(f"{title:24} not measured here: {reason}")
    for title, words in PUBLISHED.items():
        print(f"{title:24} {words}")
    print(load_average())
    return not any(result.failures for result in results.values())


def _measure(subject: Subject, times: int) -> Result:
    subject.prepare()
    say(f"{subject.title}: starting a cluster")
    started = cluster.start("node", f"bench-wake-{os.getpid()}", owned=True)
    try:
        return measure(subject, started, times)
    finally:
        started.stop()
