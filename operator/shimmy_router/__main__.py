"""Command line of the router: write Envoy's bootstrap, run the agent, drain Envoy."""

import argparse
import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from shimmy_router.agent import AgentSettings, Source, Starting, run
from shimmy_router.bootstrap import BootstrapSettings, bootstrap
from shimmy_router.drain import drain
from shimmy_router.loads.sender import MeterAddress
from shimmy_router.sources.files import watch_files
from shimmy_router.sources.kubernetes import connect, watch_fleet
from shimmy_router.sources.scale import starting
from shimmy_router.store import Store
from shimmy_router.tls import secrets
from shimmy_router.wake.waker import Start, StartError
from shimmy_router.whole_file import write_whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=given.log_level)
    given.command(given)


def _bootstrap(given: argparse.Namespace) -> None:
    if not given.plaintext and not given.tls_folder:
        raise SystemExit("shimmy-router bootstrap: without plain HTTP, --tls-folder must be given")
    secrets_file = given.run / "secrets.json"
    settings = BootstrapSettings(
        node=given.node,
        agent_socket=_agent_socket(given.run),
        admin_socket=_admin_socket(given.run),
        address=given.address,
        port=given.port if given.plaintext else None,
        tls_port=given.tls_port if given.tls_folder else None,
        secrets_file=secrets_file,
        leaving_file=_leaving_file(given.run),
        access_log=given.access_log,
        max_connections=given.max_connections,
    )
    if given.tls_folder:
        write_whole(secrets_file, json.dumps(secrets(given.tls_folder), indent=1))
    write_whole(settings.leaving_file, "0")
    write_whole(given.run / "envoy.json", json.dumps(bootstrap(settings), indent=1))


def _agent(given: argparse.Namespace) -> None:
    settings = AgentSettings(
        socket=_agent_socket(given.run),
        snapshot=given.run / "snapshot",
        admin_socket=_admin_socket(given.run),
        host=given.host,
        port=given.metrics_port,
        tenant=given.tenant,
        debug_port=given.debug_port,
        name=given.node,
        meter=MeterAddress(given.meter, given.meter_folder) if given.meter else None,
    )
    asyncio.run(_until_signal(_source(given), _starting(given), settings))


def _drain(given: argparse.Namespace) -> None:
    asyncio.run(drain(_admin_socket(given.run), _leaving_file(given.run), given.seconds))


async def _until_signal(source: Source, starting: Starting, settings: AgentSettings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await run(source, starting, settings, stopped)


def _source(given: argparse.Namespace) -> Source:
    async def from_kubernetes(store: Store) -> None:
        async with connect(given.kubeconfig) as api:
            await watch_fleet(api, given.namespace, store, given.tenant)

    def from_files(store: Store) -> Awaitable[None]:
        return watch_files(given.directory, store)

    return from_files if given.directory else from_kubernetes


def _starting(given: argparse.Namespace) -> Starting:
    @asynccontextmanager
    async def not_here() -> AsyncIterator[Start]:
        async def start(_: str, deployment: str) -> bool:
            raise StartError(f"{deployment}: there is no cluster")

        yield start

    return not_here if given.directory else partial(starting, given.kubeconfig)


def _agent_socket(folder: Path) -> Path:
    return folder / "agent.sock"


def _admin_socket(folder: Path) -> Path:
    return folder / "admin.sock"


def _leaving_file(folder: Path) -> Path:
    return folder / "leaving"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shimmy-router", description="The agent beside Envoy.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    write = commands.add_parser("bootstrap", help="write Envoy's bootstrap to RUN/envoy.json")
    write.add_argument("--node", default=os.environ.get("HOSTNAME", "router"), help="name of this Envoy ($HOSTNAME)")
    write.add_argument("--address", default="0.0.0.0", help="address that clients reach")  # noqa: S104 - a pod's
    write.add_argument("--port", type=int, default=8080, help="port that clients reach (default: 8080)")
    write.add_argument(
        "--plaintext", action=argparse.BooleanOptionalAction, default=True, help="listen for plain HTTP (default: yes)"
    )
    write.add_argument("--tls-folder", type=Path, help="folder with tls.crt and tls.key; listen for HTTPS if given")
    write.add_argument("--tls-port", type=int, default=8443, help="port of HTTPS (default: 8443)")
    write.add_argument("--access-log", action="store_true", help="have Envoy log each request on its standard output")
    write.add_argument("--max-connections", type=int, default=50_000, help="of clients; more are closed at once")
    write.set_defaults(command=_bootstrap)
    agent = commands.add_parser("agent", help="tell Envoy what the fleet is, until SIGTERM")
    agent.add_argument("--node", default=os.environ.get("HOSTNAME", "router"), help="name of this pod ($HOSTNAME)")
    agent.add_argument(
        "--namespace",
        default=os.environ.get("SHIMMY_NAMESPACE", "shimmy-system"),
        help="the router's own, which holds the mirrored keys ($SHIMMY_NAMESPACE)",
    )
    agent.add_argument(
        "--tenant",
        help="serve this tenant alone, whose namespace --namespace is; all without a router of their own if absent",
    )
    agent.add_argument("--kubeconfig", help="cluster to watch; the one that the agent runs in if absent")
    agent.add_argument("--directory", type=Path, help="read objects from the *.yaml in it instead of a cluster")
    agent.add_argument("--host", default="0.0.0.0", help="address of metrics, probes and peers")  # noqa: S104 - a pod's
    agent.add_argument(
        "--metrics-port", type=int, default=9090, help="port of metrics, probes and other routers (default: 9090)"
    )
    agent.add_argument(
        "--debug-port", type=int, default=9091, help="port of /debug/, on 127.0.0.1 only; 0 for none (default: 9091)"
    )
    agent.add_argument("--meter", help="base URL of the metrics server: each of its addresses is told loads")
    agent.add_argument(
        "--meter-folder",
        type=Path,
        default=Path("/var/run/shimmy-meter"),
        help="folder with `token` and `ca.crt` for it (/var/run/shimmy-meter)",
    )
    agent.set_defaults(command=_agent)
    stop = commands.add_parser("drain", help="let Envoy finish what it runs")
    stop.add_argument("--seconds", type=float, default=60, help="at most (default: 60)")
    stop.set_defaults(command=_drain)
    for command in (write, agent, stop):
        command.add_argument(
            "--run", type=Path, default=Path("/run/shimmy"), help="folder that agent and Envoy share (/run/shimmy)"
        )
        command.add_argument("--log-level", default="INFO", type=str.upper, help="DEBUG, INFO, WARNING or ERROR")
    return parser


if __name__ == "__main__":
    main()
