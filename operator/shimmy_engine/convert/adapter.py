"""The low-rank matrices of a PEFT adapter."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shimmy_engine.convert.adapter_config import AdapterConfig, parse_adapter_config
from shimmy_engine.convert.checkpoint import Checkpoint, Floats
from shimmy_engine.convert.folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_json
from shimmy_engine.gguf_header import GgufError

_NAME: Final = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")


@dataclass(frozen=True, slots=True)
class Pair:
    """What is added to a module's weights (outputs x inputs): scale x B A, with A rank x inputs, B outputs x rank."""

    module: str
    a_name: str
    b_name: str
    rank: int
    inputs: int
    outputs: int
    scale: float


class Adapter:
    """An adapter's folder; tensors are read when they are asked for."""

    def __init__(self, config: AdapterConfig, tensors: Checkpoint) -> None:
        """Pair the tensors.

        Raises:
            GgufError: Unsupported, naming a tensor that is no part of a pair.
        """
        self.alpha = config.alpha
        self.pairs = _pair(config, tensors.shapes)
        """By the name of the checkpoint's tensor that they change."""
        self._tensors = tensors

    def matrices(self, pair: Pair) -> tuple[Floats, Floats]:
        """A and B, without the scale."""
        return self._tensors.whole(pair.a_name), self._tensors.whole(pair.b_name)

    def close(self) -> None:
        """Close the file."""
        self._tensors.__exit__(None, None, None)


def open_adapter(folder: Path) -> Adapter:
    """The adapter in a folder.

    Raises:
        GgufError: FileMissing, NotSafetensors or Unsupported.
    """
    config = parse_adapter_config(read_json(folder / ADAPTER_CONFIG))
    if not (folder / ADAPTER_WEIGHTS).exists():
        raise GgufError("FileMissing", f"{folder} has no {ADAPTER_WEIGHTS}")
    return Adapter(config, Checkpoint([folder / ADAPTER_WEIGHTS]))


def _pair(config: AdapterConfig, shapes: dict[str, tuple[int, ...]]) -> dict[str, Pair]:
    sides: dict[str, dict[str, str]] = {}
    for name, shape in shapes.items():
        match = _NAME.fullmatch(name)
        if not match or len(shape) != 2:
            raise GgufError("Unsupported", f"the adapter's tensor {name!r} is no matrix of a LoRA pair")
        sides.setdefault(match["module"], {})[match["side"]] = name
    if not sides:
        raise GgufError("Unsupported", "the adapter holds no tensors")
    pairs = {}
    for module, found in sorted(sides.items()):
        if len(found) != 2:
            raise GgufError("Unsupported", f"the adapter has only one of the two matrices of {module}")
        (rank, inputs), (outputs, b_rank) = shapes[found["A"]], shapes[found["B"]]
        if rank != b_rank:
            raise GgufError("Unsupported", f"the adapter's matrices of {module} have the ranks {rank} and {b_rank}")
        scale = config.scale(module, rank)
        pairs[f"{module}.weight"] = Pair(module, found["A"], found["B"], rank, inputs, outputs, scale)
    return pairs
