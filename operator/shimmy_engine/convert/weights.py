"""A model's weights with an adapter merged in, part by part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from shimmy_engine.convert.adapter import Adapter, Pair
from shimmy_engine.convert.checkpoint import Checkpoint, Floats
from shimmy_engine.convert.gguf_file import FileTensor
from shimmy_engine.convert.layout import Mapped
from shimmy_engine.convert.quantization import Quantization, encode
from shimmy_engine.gguf_header import GgufError

CHUNK_VALUES: Final = 4 << 20
"""Values that are worked on at once, give or take a row: 16 MiB as 32-bit floats, about ten times that with copies."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Where values come from and how they are stored."""

    base: Checkpoint
    adapter: Adapter | None
    quantization: Quantization
    progress: Callable[[int], None]
    """Called with the bytes that were made."""

    def tensor(self, mapped: Mapped) -> FileTensor:
        """A tensor of the file."""
        kind = self.quantization.type_of(mapped.name, mapped.shape)
        pair = self.adapter.pairs.get(mapped.source) if self.adapter else None
        return FileTensor(mapped.name, mapped.shape, kind, lambda: self._chunks(mapped, kind, pair))

    def _chunks(self, mapped: Mapped, kind: GGMLQuantizationType, pair: Pair | None) -> Iterator[NDArray[np.generic]]:
        low_rank = self.adapter.matrices(pair) if self.adapter and pair else None
        for start, stop in _parts(mapped):
            values = self.base.rows(mapped.source, start, stop)
            if low_rank and pair:
                a, b = low_rank
                values += pair.scale * (b[start:stop] @ a)
            if mapped.interleaved_heads:
                values = interleave(values, mapped.shape[0] // mapped.interleaved_heads)
            encoded = encode(mapped.source, values, kind)
            self.progress(encoded.nbytes)
            yield encoded


def interleave(values: Floats, head_dim: int) -> Floats:
    """Put the two halves of each head's rows in turn: llama.cpp rotates neighbours, transformers the halves."""
    heads = values.reshape(-1, 2, head_dim // 2, *values.shape[1:])
    return heads.swapaxes(1, 2).reshape(values.shape)


def check_pairs(adapter: Adapter, tensors: list[Mapped]) -> None:
    """See that an adapter changes nothing that is not there.

    Raises:
        GgufError: AdapterMismatch, naming a module that the model does not have or has in another shape.
    """
    shapes = {tensor.source: tensor.shape for tensor in tensors}
    for source, pair in adapter.pairs.items():
        if source not in shapes:
            raise GgufError("AdapterMismatch", f"the adapter changes {pair.module}, which the model does not have")
        if shapes[source] != (pair.outputs, pair.inputs):
            message = f"the adapter fits a {pair.module} of {pair.outputs} x {pair.inputs} weights"
            raise GgufError("AdapterMismatch", f"{message}, the model's has {' x '.join(map(str, shapes[source]))}")


def _parts(mapped: Mapped) -> Iterator[tuple[int, int]]:
    """Ranges of rows; heads that are interleaved stay whole."""
    rows = mapped.shape[0]
    width = mapped.shape[1] if len(mapped.shape) > 1 else 1
    step = max(1, CHUNK_VALUES // width)
    if mapped.interleaved_heads:
        head = rows // mapped.interleaved_heads
        step = max(head, step // head * head)
    for start in range(0, rows, step):
        yield start, min(start + step, rows)
