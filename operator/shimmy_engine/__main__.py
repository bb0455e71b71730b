"""Command line of the engine: serve a model, check a model's file, fetch one."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from shimmy_api import names
from shimmy_engine.fetching import MAX_BYTES, fetch_file
from shimmy_engine.gguf_header import GgufError
from shimmy_engine.lines import LineName
from shimmy_engine.model_file import ModelFile, check_file
from shimmy_engine.report import TERMINATION_LOG, refusal_of, write_report
from shimmy_engine.server import ServerSettings, run
from shimmy_engine.settings import EngineSettings, Identity, Limits
from shimmy_engine.templates import Family

TOKEN: Final = Path("/var/run/shimmy/engine-token/token")
"""Where the operator mounts the tenant's engine token."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _logging() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)


@app.command()
def serve(
    model_name: Annotated[str, typer.Option(help="metadata.name of the ShimmyModel.")],
    model_file: Annotated[Path, typer.Option(help="Its GGUF file.")],
    line: Annotated[LineName, typer.Option(envvar="SHIMMY_LINE", help="Line of the Shimmy program.")],
    *,
    model_namespace: Annotated[str, typer.Option(envvar="SHIMMY_NAMESPACE", help="Its namespace.")] = "",
    pod: Annotated[str, typer.Option(envvar="HOSTNAME", help="Name of the pod, for answers.")] = "",
    shimmy_binary: Annotated[Path, typer.Option(help="The Shimmy program.")] = Path("/usr/local/bin/shimmy"),
    token_file: Annotated[Path, typer.Option(help="File with the token that callers must show.")] = TOKEN,
    state: Annotated[Path, typer.Option(help="Writable folder: journal, Shimmy's home.")] = Path("/var/lib/shimmy"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 - a pod's
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    context: Annotated[int | None, typer.Option(min=1, help="Context in tokens; default: the model's.")] = None,
    template: Annotated[Family | None, typer.Option(help="Chat template of the llama line.")] = None,
    require_gpu: Annotated[bool, typer.Option(help="Fail where there is only a software renderer.")] = False,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait for their turn.")] = Limits.queue,
    abandon_seconds: Annotated[
        float, typer.Option(min=0, help="How long the engine may finish an answer that nobody waits for.")
    ] = Limits.abandon,
    stall_seconds: Annotated[float, typer.Option(min=1, help="Longest silence of the engine.")] = Limits.stall,
    start_seconds: Annotated[float, typer.Option(min=1, help="Longest start of the engine.")] = Limits.start,
    accept_seconds: Annotated[
        float, typer.Option(min=0, help="How long requests are still accepted after SIGTERM.")
    ] = Limits.accept_after_term,
    grace_seconds: Annotated[float, typer.Option(min=0, help="From SIGTERM to the end.")] = Limits.grace,
    default_max_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer to a request without max_tokens.")
    ] = Limits.default_max_tokens,
) -> None:
    """Serve one model with one Shimmy process, until SIGTERM."""
    limits = Limits(
        queue=queue,
        abandon=abandon_seconds,
        stall=stall_seconds,
        start=start_seconds,
        accept_after_term=accept_seconds,
        grace=grace_seconds,
        default_max_tokens=default_max_tokens,
    )
    engine = EngineSettings(
        line=line,
        binary=shimmy_binary,
        model_file=model_file,
        state=state,
        context=context,
        template=template,
        require_gpu=require_gpu,
    )
    identity = Identity(model_name, model_namespace, pod)
    _run(ServerSettings(engine, identity, limits, host=host, port=port, token_file=token_file))


def _run(settings: ServerSettings) -> None:
    try:
        asyncio.run(run(settings))
    except GgufError as error:
        write_report(TERMINATION_LOG, refusal_of(error))
        raise typer.Exit(1) from error
    except OSError as error:
        logging.getLogger(__name__).error("cannot serve: %s", error)
        raise typer.Exit(1) from error


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The GGUF file.")],
    *,
    sha256: Annotated[str | None, typer.Option(help="Digest that it must have.")] = None,
    report: Annotated[Path, typer.Option(help="Where the result goes, one line of JSON.")] = TERMINATION_LOG,
) -> None:
    """Check a model's file: whole, the right one, and something that an engine can serve."""
    _report(report, lambda: check_file(file, sha256))


@app.command()
def fetch(
    url: Annotated[str, typer.Argument(help="http:// or https:// address of the GGUF file.")],
    destination: Annotated[Path, typer.Argument(help="Where it goes.")],
    *,
    sha256: Annotated[str, typer.Option(help="Digest that it must have.")],
    max_bytes: Annotated[int, typer.Option(min=1, help="Largest file to fetch.")] = MAX_BYTES,
    report: Annotated[Path, typer.Option(help="Where the result goes, one line of JSON.")] = TERMINATION_LOG,
) -> None:
    """Fetch a model's file: whole and right, or not at all."""
    _report(report, lambda: fetch_file(url, destination, sha256, max_bytes=max_bytes))


def _report(path: Path, work: Callable[[], ModelFile]) -> None:
    try:
        write_report(path, work().as_report())
    except GgufError as error:
        write_report(path, refusal_of(error))
        code = names.FETCH_UNREACHABLE if error.reason == "SourceUnreachable" else names.FETCH_REFUSED
        raise typer.Exit(code) from error


def main() -> None:
    """Entry point of `shimmy-engine`."""
    app()


if __name__ == "__main__":
    main()
