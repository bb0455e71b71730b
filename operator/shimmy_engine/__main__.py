"""Command line of the engine: serve a model, check a model's file, fetch one, discover what there is."""

import asyncio
import logging
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from shimmy_api import names
from shimmy_api.model import Quantization
from shimmy_engine.catalogue import CatalogueError, read_catalogue
from shimmy_engine.convert import lora
from shimmy_engine.convert.model import convert_model
from shimmy_engine.discovery.command import discover
from shimmy_engine.fetch.file import fetch_file
from shimmy_engine.fetch.folder import fetch_folder
from shimmy_engine.fetch.options import FetchOptions
from shimmy_engine.fetch.transfer import CONNECTIONS, MAX_BYTES, Bounds
from shimmy_engine.gguf_header import GgufError
from shimmy_engine.lora_file import check_lora, report_pair
from shimmy_engine.memory import container_memory
from shimmy_engine.model_file import check_file
from shimmy_engine.quirks import UnknownShimmyError
from shimmy_engine.report import TERMINATION_LOG, refusal_of, write_report
from shimmy_engine.server import ServerSettings, run
from shimmy_engine.settings import EngineSettings, Identity, Limits, ModelSettings
from shimmy_engine.templates import Family

TOKEN: Final = Path("/var/run/shimmy/engine-token/token")
"""Where the operator mounts the tenant's engine token."""

_PASSING: Final = frozenset({"SourceUnreachable", "CredentialsMissing"})
"""Refusals that pass when somebody else does something, such as making the Secret."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _logging() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    for name in ("httpx", "gguf"):
        logging.getLogger(name).setLevel(logging.WARNING)


@app.command()
def serve(
    *,
    model_name: Annotated[str, typer.Option(help="metadata.name of the ShimmyModel to serve.")] = "",
    model_file: Annotated[Path | None, typer.Option(help="Its GGUF file.")] = None,
    lora_file: Annotated[Path | None, typer.Option(help="GGUF adapter to apply to it, on the llama line.")] = None,
    context: Annotated[int | None, typer.Option(min=1, help="Context in tokens; default: the model's.")] = None,
    template: Annotated[Family | None, typer.Option(help="Chat template of the llama line.")] = None,
    models: Annotated[
        Path | None, typer.Option(help="Catalogue (JSON) of models to change between, instead of --model-file.")
    ] = None,
    on_demand: Annotated[
        bool, typer.Option("--on-demand", help="Load another model of the catalogue when a request asks for it.")
    ] = False,
    model_namespace: Annotated[str, typer.Option(envvar="SHIMMY_NAMESPACE", help="Their namespace.")] = "",
    pod: Annotated[str, typer.Option(envvar="HOSTNAME", help="Name of the pod, for answers.")] = "",
    shimmy_binary: Annotated[
        Path | None, typer.Option(help="The Shimmy program; default: $SHIMMY_BINARY, or the one on PATH.")
    ] = None,
    adopt: Annotated[str, typer.Option(help="Base URL of a Shimmy that runs already, to use instead.")] = "",
    adopt_model: Annotated[str, typer.Option(help="Its name for the model.")] = "",
    token_file: Annotated[Path, typer.Option(help="File with the token that callers must show.")] = TOKEN,
    state: Annotated[Path, typer.Option(help="Writable folder: journal, Shimmy's home.")] = Path("/var/lib/shimmy"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 - a pod's
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    admin_port: Annotated[
        int | None, typer.Option(help="Port of the private interface, for changing the model; default: none.")
    ] = None,
    require_gpu: Annotated[bool, typer.Option(help="Fail where there is only a software renderer.")] = False,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait for their turn.")] = Limits.queue,
    deadline_seconds: Annotated[
        float, typer.Option(min=1, help="Longest time of a request, waiting included.")
    ] = Limits.deadline,
    abandon_seconds: Annotated[
        float, typer.Option(min=0, help="How long the engine may finish an answer that nobody waits for.")
    ] = Limits.abandon,
    stall_seconds: Annotated[float, typer.Option(min=1, help="Longest silence of the engine.")] = Limits.stall,
    quiet_seconds: Annotated[
        float, typer.Option(min=0.1, help="Silence within an answer after which the pod is not ready.")
    ] = Limits.quiet,
    start_seconds: Annotated[float, typer.Option(min=1, help="Longest start of the engine.")] = Limits.start,
    accept_seconds: Annotated[
        float, typer.Option(min=0, help="How long requests are still accepted after SIGTERM.")
    ] = Limits.accept_after_term,
    grace_seconds: Annotated[float, typer.Option(min=0, help="From SIGTERM to the end.")] = Limits.grace,
    memory_bytes: Annotated[
        int | None,
        typer.Option(min=1, help="Private memory at which Shimmy is restarted; default: 90 % of the container's."),
    ] = None,
    default_max_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer to a request without max_tokens.")
    ] = Limits.default_max_tokens,
) -> None:
    """Serve one model at a time with one Shimmy process, until SIGTERM."""
    limits = Limits(
        queue=queue,
        deadline=deadline_seconds,
        abandon=abandon_seconds,
        stall=stall_seconds,
        quiet=quiet_seconds,
        start=start_seconds,
        accept_after_term=accept_seconds,
        grace=grace_seconds,
        memory=memory_bytes or container_memory(),
        default_max_tokens=default_max_tokens,
    )
    engine = EngineSettings(
        state=state,
        binary=shimmy_binary,
        require_gpu=require_gpu,
        adopted_url=adopt,
        adopted_model=adopt_model,
    )
    single = ModelSettings(model_name, model_file, context, template, lora_file) if model_file and model_name else None
    try:
        known = read_catalogue(models) if models else {}
    except CatalogueError as error:
        raise typer.BadParameter(str(error), param_hint="--models") from error
    if bool(known) == bool(single):
        raise typer.BadParameter("give --model-name and --model-file, or --models")
    if single:
        known = {single.name: single}
    first = model_name or next(iter(known))
    if first not in known:
        raise typer.BadParameter(f"the catalogue has no {first}", param_hint="--model-name")
    identity = Identity(model_namespace, pod)
    _run(
        ServerSettings(
            known,
            first,
            on_demand,
            engine,
            identity,
            limits,
            host=host,
            port=port,
            admin_port=admin_port,
            token_file=token_file,
        )
    )


def _run(settings: ServerSettings) -> None:
    try:
        asyncio.run(run(settings))
    except GgufError as error:
        write_report(TERMINATION_LOG, refusal_of(error))
        raise typer.Exit(1) from error
    except (OSError, UnknownShimmyError) as error:
        logging.getLogger(__name__).error("cannot serve: %s", error)
        raise typer.Exit(1) from error


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The GGUF file.")],
    *,
    sha256: Annotated[str | None, typer.Option(help="Digest that it must have.")] = None,
    lora_file: Annotated[Path | None, typer.Option(help="GGUF adapter that must fit it.")] = None,
    lora_sha256: Annotated[str | None, typer.Option(help="Digest that the adapter must have.")] = None,
    report: Annotated[Path, typer.Option(help="Where the result goes, one line of JSON.")] = TERMINATION_LOG,
) -> None:
    """Check a model's file: whole, the right one, and something that an engine can serve. An adapter likewise."""

    def work() -> dict[str, Any]:
        found = check_file(file, sha256)
        if lora_file is None:
            return found.as_report()
        return report_pair(found, check_lora(lora_file, found.header, lora_sha256))

    _report(report, work)


@app.command()
def fetch(
    source: Annotated[str, typer.Argument(help="A path, or file://, http(s)://, s3://, oci:// or hf://.")],
    destination: Annotated[Path, typer.Argument(help="Where it goes; a folder for hf://ORG/NAME@REVISION.")],
    *,
    sha256: Annotated[
        str | None, typer.Option(help="Digest that it must have. Required unless the source itself names the content.")
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            help="Folder with token, or username and password, or access-key-id and secret-access-key, or config.json."
        ),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="PEM file of authorities to trust beside the usual ones.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", envvar="HF_HUB_OFFLINE", help="Say what is missing; touch no network.")
    ] = False,
    connections: Annotated[int, typer.Option(min=1, max=32, help="Ranges to fetch at once.")] = CONNECTIONS,
    max_bytes: Annotated[int, typer.Option(min=1, help="Most bytes to fetch.")] = MAX_BYTES,
    report: Annotated[Path, typer.Option(help="Where the result goes, one line of JSON.")] = TERMINATION_LOG,
) -> None:
    """Fetch a model's file, or a repository of Hugging Face: whole and right, or not at all."""
    _end_at_once_on_signals()
    options = FetchOptions(Bounds(max_bytes, connections), credentials, ca_file, offline)
    is_folder = re.fullmatch(r"hf://[^/]+/[^/]+", source)
    try:
        if is_folder and sha256 is None:
            _report(report, lambda: fetch_folder(source, destination, options).as_report())
        else:
            _report(report, lambda: fetch_file(source, destination, sha256, options).as_report())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Folder of a Hugging Face model, or its .safetensors file.")],
    destination: Annotated[Path, typer.Argument(help="The GGUF file to make.")],
    *,
    adapter: Annotated[Path | None, typer.Option(help="Folder of a PEFT LoRA adapter to merge into it.")] = None,
    quantization: Annotated[Quantization, typer.Option(help="Type of most weights.")] = "Q8_0",
    discard: Annotated[Path | None, typer.Option(help="Folder to remove when the file is made.")] = None,
    report: Annotated[Path, typer.Option(help="Where the result goes, one line of JSON.")] = TERMINATION_LOG,
) -> None:
    """Convert a model from safetensors to a GGUF file that both lines can serve."""
    # Process 1 of a container ignores SIGTERM without a handler; this one lets the unfinished file be removed.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))

    def work() -> dict[str, Any]:
        made = convert_model(source, destination, adapter=adapter, quantization=quantization)
        if discard is not None:
            shutil.rmtree(discard, ignore_errors=True)
        return made.as_report()

    _report(report, work)


@app.command()
def convert_lora(
    adapter: Annotated[Path, typer.Argument(help="Folder of a PEFT LoRA adapter.")],
    destination: Annotated[Path, typer.Argument(help="The GGUF adapter to make.")],
    *,
    base: Annotated[Path, typer.Option(help="GGUF file of the model that it is for.")],
    report: Annotated[Path, typer.Option(help="Where the result goes, one line of JSON.")] = TERMINATION_LOG,
) -> None:
    """Convert an adapter to a GGUF file of its own, which the llama line adds to a model at run time."""
    _report(report, lambda: lora.convert_lora(adapter, destination, base=base).as_report())


def _end_at_once_on_signals() -> None:
    """A fetch can end at any moment and go on later, but a thread that waits for a silent source ends after a minute.

    Process 1 of a container would not even end at SIGTERM without a handler.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: os._exit(128 + received))


def _report(path: Path, work: Callable[[], dict[str, Any]]) -> None:
    try:
        write_report(path, work())
    except GgufError as error:
        write_report(path, refusal_of(error))
        code = names.FETCH_UNREACHABLE if error.reason in _PASSING else names.FETCH_REFUSED
        raise typer.Exit(code) from error


app.command()(discover)


def main() -> None:
    """Entry point of `shimmy-engine`."""
    app()


if __name__ == "__main__":
    main()
