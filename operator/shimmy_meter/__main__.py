"""Command line of the meter: serve the load of models to autoscalers."""

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence
from pathlib import Path

from shimmy_meter.service import Settings, run


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=given.log_level)
    given.command(given)


def _serve(given: argparse.Namespace) -> None:
    settings = Settings(
        host=given.host,
        port=given.port,
        metrics_port=given.metrics_port,
        tls_folder=given.tls_folder,
        kubeconfig=given.kubeconfig,
        leave_seconds=given.leave_seconds,
    )
    asyncio.run(_until_signal(settings))


async def _until_signal(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await run(settings, stopped)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shimmy-meter", description="The meter of a Shimmy fleet.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="take routers' reports and answer autoscalers, until SIGTERM")
    serve.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104 - a pod's
    serve.add_argument("--port", type=int, default=6443, help="port of HTTPS (default: 6443)")
    serve.add_argument("--metrics-port", type=int, default=9090, help="port of /metrics; 0 for none (default: 9090)")
    serve.add_argument("--tls-folder", type=Path, required=True, help="folder with tls.crt and tls.key")
    serve.add_argument("--kubeconfig", help="cluster to serve; the one that the server runs in if absent")
    serve.add_argument("--leave-seconds", type=float, default=5, help="to go on answering after SIGTERM (default: 5)")
    serve.add_argument("--log-level", default="INFO", type=str.upper, help="DEBUG, INFO, WARNING or ERROR")
    serve.set_defaults(command=_serve)
    return parser


if __name__ == "__main__":
    main()
