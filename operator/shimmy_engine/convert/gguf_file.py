"""Writes GGUF files whose tensors need not fit into memory."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType
from numpy.typing import NDArray

from shimmy_engine.convert.layout import Shape
from shimmy_engine.convert.quantization import encoded_size

_SCALARS: Final = {bool: GGUFValueType.BOOL, str: GGUFValueType.STRING, float: GGUFValueType.FLOAT32}
_ARCHITECTURE: Final = "general.architecture"


class Chunks(Protocol):
    """Makes a tensor's content, from its first row to its last."""

    def __call__(self) -> Iterator[NDArray[np.generic]]:
        """The encoded rows in parts."""


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor to write. `shape` has rows first."""

    name: str
    shape: Shape
    kind: GGMLQuantizationType
    chunks: Chunks

    @property
    def nbytes(self) -> int:
        """Bytes of its content; GGUFWriter compares them with what it announced."""
        return encoded_size(self.shape, self.kind)

    def tofile(self, file: IO[bytes]) -> None:
        """Write the content; GGUFWriter calls this as it calls an array's."""
        for chunk in self.chunks():
            file.write(chunk.tobytes())


def write_gguf(path: Path, metadata: Mapping[str, Any], tensors: Iterable[FileTensor]) -> None:
    """Write a file; `metadata` names the architecture, and whole numbers are stored as 32-bit unsigned.

    Raises:
        OSError: it cannot be written.
    """
    writer: Any = gguf.GGUFWriter(path, str(metadata[_ARCHITECTURE]))
    for key, value in metadata.items():
        if key != _ARCHITECTURE:
            _add(writer, key, value)
    tensors = tuple(tensors)
    for tensor in tensors:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.nbytes, tensor.kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            writer.write_tensor_data(tensor)
    finally:
        writer.close()


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, list):
        inner = GGUFValueType.STRING if value and isinstance(value[0], str) else GGUFValueType.INT32
        writer.add_key_value(key, value, GGUFValueType.ARRAY, sub_type=inner)
    else:
        writer.add_key_value(key, value, _SCALARS.get(type(value), GGUFValueType.UINT32))
