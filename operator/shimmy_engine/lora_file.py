"""Checks a GGUF file with a LoRA adapter against the model that it is for.

llama.cpp's own checks (`llama_adapter_lora_init_impl` in src/llama-adapter.cpp) come at the first request, and all that
a client of Shimmy 1.8 sees of them is a 502.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shimmy_engine.checksums import sha256_of
from shimmy_engine.gguf_header import GgufError, GgufHeader, Tensor, read_header
from shimmy_engine.model_file import ModelFile, check_digest, check_size, obstacle

SIDES: Final = (".lora_a", ".lora_b")


@dataclass(frozen=True, slots=True)
class LoraFile:
    """An adapter that was checked. `rank` is its largest; `modules` counts the tensors that it changes."""

    sha256: str
    size_bytes: int
    architecture: str
    rank: int
    modules: int

    def as_report(self) -> dict[str, Any]:
        """What the operator stores in the ShimmyModel's status."""
        return {
            "sha256": self.sha256,
            "sizeBytes": self.size_bytes,
            "architecture": self.architecture,
            "rank": self.rank,
            "modules": self.modules,
        }


def check_lora(path: Path, base: GgufHeader, sha256: str | None) -> LoraFile:
    """Check that the file is whole, is the right one, and changes nothing that the model `base` does not have.

    Raises:
        GgufError: FileMissing, NotGguf, Truncated, ChecksumMismatch, Unsupported or AdapterMismatch.
    """
    header = read_header(path)
    check_size(header, path.stat().st_size)
    ranks = check_fit(header, base)
    found = sha256_of(path)
    check_digest(found, sha256)
    return LoraFile(found, path.stat().st_size, header.architecture, max(ranks.values()), len(ranks))


def report_pair(base: ModelFile, adapter: LoraFile) -> dict[str, Any]:
    """The report of a model with an adapter beside it.

    Raises:
        GgufError: Unsupported, where the line that adds adapters cannot serve the model.
    """
    if reason := obstacle(base.header, "llama"):
        raise GgufError("Unsupported", f"only the llama line adds adapters, and it cannot serve the model: {reason}")
    return {**base.as_report(), "lines": ["llama"], "lora": adapter.as_report()}


def check_fit(adapter: GgufHeader, base: GgufHeader) -> Mapping[str, int]:
    """Compare an adapter's header with a model's; returns the rank for each tensor that it changes.

    Raises:
        GgufError: Unsupported or AdapterMismatch.
    """
    kinds = adapter.metadata.get("general.type"), adapter.metadata.get("adapter.type")
    if kinds != ("adapter", "lora"):
        raise GgufError("Unsupported", f"the file is no LoRA adapter: its type is {kinds[0]!r}, {kinds[1]!r}")
    if adapter.architecture != base.architecture:
        message = f"the adapter is for {adapter.architecture!r}, the model is {base.architecture!r}"
        raise GgufError("AdapterMismatch", message)
    weights = {tensor.name: tensor.shape for tensor in base.tensors}
    pairs = _pairs(adapter)
    if not pairs:
        raise GgufError("Unsupported", "the adapter holds no tensors")
    return {name: _rank(name, a.shape, b.shape, weights) for name, (a, b) in pairs.items()}


def _pairs(adapter: GgufHeader) -> dict[str, tuple[Tensor, Tensor]]:
    sides: dict[str, dict[str, Tensor]] = {}
    for tensor in adapter.tensors:
        name, dot, side = tensor.name.rpartition(".")
        if f"{dot}{side}" not in SIDES or len(tensor.shape) != 2:
            raise GgufError("Unsupported", f"the adapter's tensor {tensor.name!r} is no matrix of a LoRA pair")
        sides.setdefault(name, {})[f"{dot}{side}"] = tensor
    for name, found in sides.items():
        if len(found) != len(SIDES):
            raise GgufError("Unsupported", f"the adapter has only one of the two matrices of {name}")
    return {name: (found[SIDES[0]], found[SIDES[1]]) for name, found in sides.items()}


def _rank(name: str, a: tuple[int, ...], b: tuple[int, ...], weights: Mapping[str, tuple[int, ...]]) -> int:
    """Shapes as GGUF files have them, columns first: A is inputs x rank, B rank x outputs, weights inputs x outputs."""
    if name not in weights:
        raise GgufError("AdapterMismatch", f"the adapter changes {name}, which the model does not have")
    if name.startswith("token_embd"):
        raise GgufError("Unsupported", "the adapter changes the embedding, which is not supported")
    if a[1] != b[0] or (a[0], b[1]) != weights[name]:
        message = f"the adapter fits a {name} of {a[0]} x {b[1]} weights"
        raise GgufError("AdapterMismatch", f"{message}, the model's has {' x '.join(map(str, weights[name]))}")
    return a[1]
