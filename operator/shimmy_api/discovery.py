"""What `shimmy-engine discover` finds: its JSON, what a discovery Job hands over, and the ShimmyModels it makes."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from shimmy_api.base import ApiModel
from shimmy_api.fields import DnsLabel, Sha256

MAX_MODELS: Final = 2000
MAX_SKIPPED: Final = 500
MAX_PATH: Final = 4096
MAX_SOURCE: Final = 2048
_LONGEST_MESSAGE: Final = 500

ModelKind = Literal["gguf", "ggufAdapter", "huggingFace", "peft"]
Text = Annotated[str, Field(max_length=512)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]


class Discovered(ApiModel):
    """One model or adapter, as its own headers describe it."""

    name: DnsLabel
    """Name for the ShimmyModel, unique among what was found together."""
    kind: ModelKind
    path: Annotated[str, Field(max_length=MAX_PATH)]
    """The file, or the folder of a model in Hugging Face's layout."""
    source: Annotated[str | None, Field(max_length=MAX_SOURCE)] = None
    """The same as pvc://CLAIM/PATH; absent where no claim is known."""
    personal: bool = False
    """Whether it is somebody's own: an adapter, or something that its owner calls personal."""
    size_bytes: Count = 0
    """Bytes of its weights."""
    architecture: Text = ""
    quantization: Text = ""
    """Type of most weights, such as Q4_1 or BF16."""
    context_length: Count = 0
    """Tokens that the model was trained for; 0 where nothing says it."""
    parameters: Count = 0
    """Number of weights."""
    lines: Annotated[tuple[Text, ...], Field(max_length=8)] = ()
    """Lines of Shimmy that can serve the file as it is."""
    sha256: Sha256 | None = None
    """Digest of a single file, where it was asked for."""
    known_as: Annotated[tuple[Text, ...], Field(max_length=16)] = ()
    """Names by which an adapter may mean this model as its base."""
    base: Text = ""
    """The model that an adapter was trained for, in the adapter's own words."""
    base_source: Annotated[str | None, Field(max_length=MAX_SOURCE)] = None
    """The same as pvc://CLAIM/PATH, where it was found by that name."""
    base_parameters: Count = 0
    """Number of the base's weights."""
    base_path: Annotated[str | None, Field(max_length=MAX_PATH)] = None
    adapter_type: Text = ""
    """Such as lora."""
    rank: Annotated[int | None, Field(ge=0, lt=1 << 31)] = None
    """Rank of an adapter."""


class Skipped(ApiModel):
    """Something that looks like a model and cannot be one, or a place that could not be looked at."""

    path: Annotated[str, Field(max_length=MAX_PATH)]
    reason: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]{0,63}$")]
    """CamelCase, for programs."""
    message: Annotated[str, Field(max_length=_LONGEST_MESSAGE)]


class DiscoveryReport(ApiModel):
    """What was found in one go, in the order of the paths."""

    revision: Annotated[str, Field(max_length=64)] = ""
    """What the caller asked to be repeated here: the operator tells by it which of its questions this answers."""
    finished_at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    """UTC, RFC 3339."""
    models: Annotated[tuple[Discovered, ...], Field(max_length=MAX_MODELS)] = ()
    skipped: Annotated[tuple[Skipped, ...], Field(max_length=MAX_SKIPPED)] = ()
    omitted: Count = 0
    """How many more there are that do not fit in here."""
    complete: bool = True
    """Whether every folder was looked at and every model is listed: only then, what is not here is gone."""


def skipped(path: str, reason: str, message: str) -> Skipped:
    """A Skipped whose texts fit."""
    return Skipped(path=path[:MAX_PATH], reason=reason, message=message[:_LONGEST_MESSAGE])


def model_spec(model: Discovered) -> dict[str, Any] | None:
    """`spec` of the ShimmyModel; None where none can say it: no claim or no base is known."""
    backend = _backend(model)
    if model.source is None or backend is None:
        return None
    spec: dict[str, Any] = {"backend": backend} | ({"personal": True} if model.personal else {})
    if "huggingFace" in backend:
        spec["storage"] = {"size": f"{_converted_gib(model)}Gi"}
    return spec


def _backend(model: Discovered) -> dict[str, Any] | None:
    match model.kind:
        case "gguf":
            return {"gguf": {"source": model.source} | ({"sha256": model.sha256} if model.sha256 else {})}
        case "huggingFace":
            return {"huggingFace": {"baseModel": model.source}}
        case "ggufAdapter" if model.base_source:
            return {"gguf": {"source": model.base_source, "loraSource": model.source}}
        case "peft" if model.base_source:
            return {"huggingFace": {"baseModel": model.base_source, "peftSource": model.source}}
        case _:
            return None


def _converted_gib(model: Discovered) -> int:
    """Space for the GGUF file that a conversion makes: Q8_0 has 34 bytes for 32 weights, and the header some MB."""
    weights = model.base_parameters or model.parameters
    return (weights * 34 // 32 + (512 << 20)) // (1 << 30) + 1
