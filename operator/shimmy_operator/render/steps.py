"""What a model's Job does, container by container."""

from dataclasses import dataclass, field
from typing import Any, Final

from shimmy_api.model import Gguf, ShimmyModelSpec
from shimmy_api.sources import HubSource, VolumeSource
from shimmy_operator.render.context import Context
from shimmy_operator.render.fetch_access import FetchAccess, fetch_access
from shimmy_operator.render.location import Location, folders
from shimmy_operator.render.pod import MODELS

RESULT: Final = "fetch"
"""The container whose termination message is the Job's result; it runs last."""
INPUTS: Final = "/inputs"
"""The tenant's claims beside the one that holds the file are mounted here, each under its name."""
_SOURCES: Final = f"{MODELS}/.sources"
"""What is fetched only to be converted."""
_LIGHT: Final[dict[str, Any]] = {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
_HEAVY: Final[dict[str, Any]] = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}
"""A conversion works on parts of a fixed size, however large the model is; its files are memory-mapped."""


@dataclass(frozen=True, slots=True)
class Step:
    """One container."""

    name: str
    arguments: list[str]
    access: FetchAccess = field(default_factory=FetchAccess)
    resources: dict[str, Any] = field(default_factory=lambda: _LIGHT)


def render_steps(location: Location, spec: ShimmyModelSpec, context: Context) -> list[Step]:
    """The containers of the Job in the order in which they run.

    Raises:
        ValueError: the model's source cannot be used.
    """
    gguf = spec.backend.gguf
    return _conversion(location, spec, context) if gguf is None else _gguf(location, gguf, context)


def input_path(source: VolumeSource, location: Location) -> str:
    """Where a container sees a file or folder of the tenant's."""
    at_hand = source.claim_name == location.claim_name
    return f"{MODELS}/{source.path}" if at_hand else f"{INPUTS}/{source.claim_name}/{source.path}"


def _gguf(location: Location, gguf: Gguf, context: Context) -> list[Step]:
    file = f"{MODELS}/{location.path}"
    digest = ["--sha256", gguf.sha256] if gguf.sha256 else []
    adapter = ["--lora-file", input_path(location.lora, location)] if location.lora else []
    adapter += ["--lora-sha256", gguf.lora_sha256] if gguf.lora_sha256 else []
    check = Step(RESULT, ["check", file, *digest, *adapter])
    if location.url is None:
        return [check]
    access = fetch_access(context.fetch_network, gguf.credentials_secret_name)
    fetch = ["fetch", location.url, file, *digest, *access.arguments]
    return [Step("fetch-file", fetch, access), check] if adapter else [Step(RESULT, fetch, access)]


def _conversion(location: Location, spec: ShimmyModelSpec, context: Context) -> list[Step]:
    hub = spec.backend.hugging_face
    access = fetch_access(context.fetch_network, hub.credentials_secret_name if hub else None)
    base, adapter = folders(spec.backend)
    steps: list[Step] = []
    command = ["convert", _folder(base, "model", location, access, steps), f"{MODELS}/{location.path}"]
    if adapter is not None:
        command += ["--adapter", _folder(adapter, "adapter", location, access, steps)]
    backend = hub or spec.backend.candle
    command += ["--quantization", backend.quantization] if backend else []
    if steps:
        command += ["--discard", _SOURCES]
    return [*steps, Step(RESULT, command, resources=_HEAVY)]


def _folder(
    source: VolumeSource | HubSource, what: str, location: Location, access: FetchAccess, steps: list[Step]
) -> str:
    """Where the folder is for the conversion; a repository adds the step that fetches it."""
    if isinstance(source, VolumeSource):
        return input_path(source, location)
    folder = f"{_SOURCES}/{what}"
    url = f"hf://{source.repository}@{source.revision}"
    steps.append(Step(f"fetch-{what}", ["fetch", url, folder, *access.arguments], access))
    return folder
