"""What a GGUF file's header says: a model, a LoRA adapter, or why it is neither."""

from pathlib import Path
from typing import Any, Final

from shimmy_api.discovery import Discovered
from shimmy_api.naming import dns_label
from shimmy_engine.discovery.candidates import Candidate
from shimmy_engine.discovery.walk import shown
from shimmy_engine.gguf_header import GgufError, GgufHeader, read_header
from shimmy_engine.model_file import check_servable, check_size, obstacle, quantization
from shimmy_engine.quirks import LINES

_PROJECTOR: Final = frozenset({"mmproj", "clip"})


def inspect_gguf(path: Path) -> Discovered:
    """Describe one file.

    Raises:
        GgufError: it is damaged or another kind of file, or no engine can serve it.

    """
    header, size = read_header(path), path.stat().st_size
    kind = str(header.metadata.get("general.type", "model"))
    if kind in _PROJECTOR or header.architecture in _PROJECTOR:
        raise GgufError("Projector", "it turns images into tokens for another model and is no language model")
    check_size(header, size)
    if kind == "adapter":
        return _adapter(path, header, size)
    if kind != "model":
        raise GgufError("Unsupported", f"general.type is {kind[:80]!r}: the file holds no language model")
    lines = tuple(line for line in LINES if header.tensors and not obstacle(header, line))
    if not lines:
        check_servable(header)  # says why
    return Discovered(
        name=dns_label(path.stem),
        kind="gguf",
        path=shown(path),
        size_bytes=size,
        architecture=header.architecture,
        quantization=quantization(header),
        context_length=header.context_length,
        parameters=header.parameters,
        lines=lines,
        known_as=_names(path, header),
    )


def refuse_split(candidate: Candidate) -> GgufError:
    """Why a model in parts is not served, and what to do about it."""
    count = len(candidate.parts) + len(candidate.missing)
    if candidate.missing:
        return GgufError("Incomplete", f"parts of the model are missing: {', '.join(candidate.missing[:3])}")
    merge = "llama-gguf-split --merge FIRST-PART WHOLE.gguf"
    return GgufError("Split", f"the model lies in {count} files, but engines load one; join them: {merge}")


def _adapter(path: Path, header: GgufHeader, size: int) -> Discovered:
    kind = str(header.metadata.get("adapter.type", ""))
    if kind != "lora":
        raise GgufError("Unsupported", f"the file is an adapter of type {kind[:80]!r}; engines load lora")
    ranks = [tensor.shape[-1] for tensor in header.tensors if tensor.name.endswith(".lora_a") and tensor.shape]
    if not ranks:
        raise GgufError("Unsupported", "the adapter has no pair of LoRA matrices")
    return Discovered(
        name=dns_label(path.stem),
        kind="ggufAdapter",
        path=shown(path),
        size_bytes=size,
        architecture=header.architecture,
        quantization=quantization(header),
        parameters=header.parameters,
        lines=("llama",),
        base=_base(header.metadata),
        adapter_type=kind,
        rank=max(ranks),
    )


def _base(metadata: dict[str, Any]) -> str:
    """The base model as `ORG/NAME` where the header says so, else its name.

    Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#general-metadata
    """
    url = str(metadata.get("general.base_model.0.repo_url", ""))
    _, found, repository = url.partition("huggingface.co/")
    return (repository if found else str(metadata.get("general.base_model.0.name", "")))[:512]


def _names(path: Path, header: GgufHeader) -> tuple[str, ...]:
    stated = [str(header.metadata.get(key, "")) for key in ("general.name", "general.basename")]
    return tuple(dict.fromkeys(name[:512] for name in (*stated, shown(Path(path.stem))) if name))
