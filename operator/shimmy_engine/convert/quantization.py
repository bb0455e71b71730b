"""Types of weights that a conversion can write."""

from dataclasses import dataclass
from typing import Final

import gguf
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType
from numpy.typing import NDArray

from shimmy_api import model as api
from shimmy_engine.convert.checkpoint import Floats
from shimmy_engine.convert.layout import EMBEDDING, HEAD, Shape
from shimmy_engine.gguf_header import GgufError

_F32: Final = GGMLQuantizationType.F32


@dataclass(frozen=True, slots=True)
class Quantization:
    """A choice of types: `most` for matrices, `head` for the embedding and the output head, F32 for vectors."""

    most: GGMLQuantizationType
    head: GGMLQuantizationType
    file_type: LlamaFileType

    def type_of(self, name: str, shape: Shape) -> GGMLQuantizationType:
        """Type of one tensor. Rows that do not divide into whole blocks are kept in a type without blocks."""
        if len(shape) < 2:
            return _F32
        wanted, plain = (self.head, _F32) if name in (EMBEDDING, HEAD) else (self.most, GGMLQuantizationType.F16)
        return wanted if shape[-1] % GGML_QUANT_SIZES[wanted][0] == 0 else plain


QUANTIZATIONS: Final[dict[api.Quantization, Quantization]] = {
    "Q8_0": Quantization(GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "Q5_0": Quantization(GGMLQuantizationType.Q5_0, GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q5_0),
    "Q4_0": Quantization(GGMLQuantizationType.Q4_0, GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q4_0),
    "F16": Quantization(GGMLQuantizationType.F16, _F32, LlamaFileType.MOSTLY_F16),
    "F32": Quantization(_F32, _F32, LlamaFileType.ALL_F32),
}
"""All of them can be computed by both lines: Airframe 0.4.4 knows no head of type F16 or Q5_0."""


def encode(name: str, values: Floats, kind: GGMLQuantizationType) -> NDArray[np.generic]:
    """Values as the file holds them.

    Raises:
        GgufError: Unsupported, where a value is too large for the type.
    """
    if kind == GGMLQuantizationType.F16 and np.abs(values).max(initial=0.0) > np.finfo(np.float16).max:
        raise GgufError("Unsupported", f"tensor {name!r} holds values that 16-bit floats cannot; take Q8_0 or F32")
    encoded: NDArray[np.generic] = gguf.quants.quantize(values, kind)
    return encoded


def encoded_size(shape: Shape, kind: GGMLQuantizationType) -> int:
    """Bytes of a tensor."""
    block, size = GGML_QUANT_SIZES[kind]
    elements = 1
    for dimension in shape:
        elements *= dimension
    return elements // block * size
