"""`shimmy-engine discover`."""

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from shimmy_api import names
from shimmy_api.discovery import DiscoveryReport, model_spec
from shimmy_api.handover import pack
from shimmy_engine.discovery.delivery import NotDeliveredError, deliver, in_cluster
from shimmy_engine.discovery.manifests import as_yaml
from shimmy_engine.discovery.scan import Claim, Wishes
from shimmy_engine.discovery.scan import discover as look_through
from shimmy_engine.report import TERMINATION_LOG, write_report

_LOG = logging.getLogger(__name__)


class Output(StrEnum):
    """What to print."""

    JSON = "json"
    YAML = "yaml"


def discover(
    paths: Annotated[list[Path], typer.Argument(help="Folders to look through.", metavar="PATH")],
    *,
    output: Annotated[Output, typer.Option(help="All that was found, or ShimmyModels to apply.")] = Output.JSON,
    namespace: Annotated[str | None, typer.Option(help="Namespace of the ShimmyModels.")] = None,
    claim: Annotated[str | None, typer.Option(help="PersistentVolumeClaim that holds the folders.")] = None,
    mount: Annotated[Path | None, typer.Option(help="Where it is mounted; default: the one PATH.")] = None,
    personal: Annotated[
        list[str] | None, typer.Option(help="Pattern of paths of personal models, such as 'alice/*'; repeatable.")
    ] = None,
    sha256: Annotated[bool, typer.Option(help="Read GGUF files to their end, for their digests.")] = False,
    config_map: Annotated[
        str | None, typer.Option(help="In a pod: write to this ConfigMap, and print nothing.")
    ] = None,
    key: Annotated[str, typer.Option(help="Key in that ConfigMap.")] = "models",
    revision: Annotated[str, typer.Option(help="Repeated in the result.")] = "",
) -> None:
    """List the models and adapters in folders: what they are, and ShimmyModels for them."""
    wishes = Wishes(_claim(claim, mount, paths, output), tuple(personal or ()), sha256)
    try:
        report = look_through([path.absolute() for path in paths], wishes, revision)
    except OSError as error:
        message = f"{error.filename} cannot be read: {error.strerror}"
        if config_map is not None:
            write_report(TERMINATION_LOG, {"reason": "FolderMissing", "message": message})
        _LOG.error("%s", message)
        raise typer.Exit(names.FETCH_REFUSED) from error
    for left_out in report.skipped:
        _LOG.warning("%s: %s: %s", left_out.path, left_out.reason, left_out.message)
    _LOG.info("%d models, %d skipped", len(report.models), len(report.skipped))
    if config_map is not None:
        _hand_over(report, config_map, key)
    elif output is Output.JSON:
        typer.echo(report.model_dump_json(by_alias=True, exclude_none=True, indent=2))
    else:
        _print_yaml(report, namespace)


def _claim(claim: str | None, mount: Path | None, paths: list[Path], output: Output) -> Claim | None:
    if claim is None:
        if output is Output.YAML:
            raise typer.BadParameter(
                "ShimmyModels name their files as pvc://CLAIM/PATH: add --claim", param_hint="--claim"
            )
        return None
    if mount is None and len(paths) > 1:
        raise typer.BadParameter("say where the claim is mounted: several PATHs were given", param_hint="--mount")
    return Claim(claim, (mount or paths[0]).absolute())


def _print_yaml(report: DiscoveryReport, namespace: str | None) -> None:
    for model in report.models:
        if model_spec(model) is None:
            _LOG.warning("%s: its base %r was not found, so no ShimmyModel can name it", model.path, model.base)
    typer.echo(as_yaml(report, namespace), nl=False)


def _hand_over(report: DiscoveryReport, config_map: str, key: str) -> None:
    try:
        deliver(pack(report), config_map, key, in_cluster())
    except NotDeliveredError as error:
        write_report(TERMINATION_LOG, {"reason": "NotDelivered", "message": str(error)})
        raise typer.Exit(names.FETCH_UNREACHABLE) from error
    write_report(TERMINATION_LOG, {"models": len(report.models), "skipped": len(report.skipped)})
