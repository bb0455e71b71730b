"""Checks a model's file: whole, the right one, and something that an engine can serve."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from shimmy_engine.checksums import Checksum, compare, sha256_of
from shimmy_engine.gguf_header import GgufError, GgufHeader, read_header
from shimmy_engine.quirks import LINES, LineName
from shimmy_engine.tokenizer import PromptTokenizer

_LAYERS: Final = frozenset({"F32", "F16", "Q4_0", "Q5_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K"})
_HEAD: Final = frozenset({"F32", "Q4_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K"})
"""Types of weights that Airframe 0.4.4 computes with. Others it notices only at the first request, in a panic."""
_ARCHITECTURES: Final = frozenset(
    {"gemma", "gemma2", "gemma4", "llama", "mistral", "mistral3", "phi", "phi2", "phi3", "qwen2", "qwen3"}
)
"""What Airframe 0.4.4 knows (`ModelArch` in src/core/spec.rs). With others it answers, in garbage."""
_PROJECTOR: Final = "clip"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that was checked."""

    sha256: str
    size_bytes: int
    header: GgufHeader

    def as_report(self) -> dict[str, Any]:
        """What the operator stores in the ShimmyModel's status, and the lines of Shimmy that can serve the file."""
        return {
            "sha256": self.sha256,
            "sizeBytes": self.size_bytes,
            "architecture": self.header.architecture,
            "quantization": quantization(self.header),
            "contextLength": self.header.context_length,
            "parameters": self.header.parameters,
            "lines": [line for line in LINES if not obstacle(self.header, line)],
        }


def check_file(path: Path, sha256: str | None) -> ModelFile:
    """Check size, structure and, with `sha256`, the content of the file at `path`.

    Raises:
        GgufError: FileMissing, NotGguf, Truncated, ChecksumMismatch or Unsupported.

    """
    header = read_header(path)
    check_size(header, path.stat().st_size)
    check_servable(header)
    found = sha256_of(path)
    check_digest(found, sha256)
    return ModelFile(found, path.stat().st_size, header)


def check_digest(found: str, wanted: str | None) -> None:
    """Compare digests; nothing is wanted where `wanted` is None.

    Raises:
        GgufError: ChecksumMismatch.

    """
    if wanted:
        compare(Checksum("sha256", wanted.lower()), Checksum("sha256", found))


def check_size(header: GgufHeader, size: int) -> None:
    """Compare the file's size with what its tensors need.

    Raises:
        GgufError: Truncated or Unsupported.

    """
    ends = [tensor.offset + _bytes(tensor.type, tensor.shape) for tensor in header.tensors]
    needed = header.data_offset + max(ends, default=0)
    if size < needed:
        raise GgufError("Truncated", f"the file has {size} bytes, but its tensors need {needed}")


def check_servable(header: GgufHeader) -> None:
    """Refuse what no line can serve.

    Raises:
        GgufError: Unsupported.

    """
    if not header.tensors or header.architecture == _PROJECTOR:
        raise GgufError("Unsupported", "the file holds no language model")
    reasons = [reason for line in LINES if (reason := obstacle(header, line))]
    if len(reasons) == 2:
        raise GgufError("Unsupported", f"no engine can serve the file: {'; '.join(reasons)}")


def obstacle(header: GgufHeader, line: LineName | str) -> str:
    """Why the line cannot serve the file; empty where it can."""
    return _llama_obstacle(header) if line == "llama" else _airframe_obstacle(header)


def quantization(header: GgufHeader) -> str:
    """Type of most weights by the file's own word, such as Q4_1."""
    try:
        return (
            LlamaFileType(int(header.metadata.get("general.file_type", -1)))
            .name.removeprefix("MOSTLY_")
            .removeprefix("ALL_")
        )
    except (ValueError, TypeError):
        return "unknown"


def _llama_obstacle(header: GgufHeader) -> str:
    try:
        PromptTokenizer(header.metadata)
    except GgufError as error:
        return f"llama: {error.message}"
    return ""


def _airframe_obstacle(header: GgufHeader) -> str:
    if header.architecture not in _ARCHITECTURES:
        return f"airframe: architecture {header.architecture!r} is not known to it"
    types = {tensor.name: _type_name(tensor.type) for tensor in header.tensors}
    if scaling := _rope_scaling(header):
        return f"airframe: it ignores rope scaling ({scaling}), so its text would be wrong"
    head = "output.weight" if "output.weight" in types else "token_embd.weight"
    bad = {f"{name} is {kind}" for name, kind in types.items() if kind not in _LAYERS}
    if types.get(head, "F32") not in _HEAD:
        bad.add(f"{head} is {types[head]}")
    if bad:
        return f"airframe: it cannot compute with all weights ({_some(sorted(bad))})"
    return ""


def _rope_scaling(header: GgufHeader) -> str:
    """What stretches the positions; empty for nothing. Airframe 0.4.4 reads none of it (src/core/spec.rs)."""
    if any(tensor.name == "rope_freqs.weight" for tensor in header.tensors):
        return "rope_freqs.weight"
    kind = header.metadata.get(f"{header.architecture}.rope.scaling.type", "none")
    return "" if kind == "none" else str(kind)


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _bytes(kind: int, shape: Iterable[int]) -> int:
    try:
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (ValueError, KeyError) as error:
        raise GgufError("Unsupported", f"the file has weights of unknown type {kind}") from error
    elements = 1
    for dimension in shape:
        elements *= dimension
    return -(-elements // block) * size


def _type_name(kind: int) -> str:
    try:
        return GGMLQuantizationType(kind).name
    except ValueError:
        return f"type {kind}"
