"""Reader of a GGUF file's header (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3).

Own code rather than the `gguf` package's reader: that one takes seconds for a vocabulary, at every start of a pod, and
fails on a damaged file with whatever exception comes first. Here every length is checked before it is used.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MAGIC: Final = b"GGUF"
MAX_TENSORS: Final = 1 << 17
MAX_KEYS: Final = 1 << 16
MAX_DIMENSIONS: Final = 8
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9


class GgufError(Exception):
    """The file cannot be used. `reason` is CamelCase, for a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Tensor:
    """What the header says of one tensor; `offset` counts from the start of the data section."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata and tensor table of a file, and where its data starts."""

    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]
    data_offset: int

    @property
    def architecture(self) -> str:
        """For example "llama"; empty where the file names none."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def context_length(self) -> int:
        """Tokens that the model was trained for, 0 where the file does not say."""
        value = self.metadata.get(f"{self.architecture}.context_length", 0)
        return value if isinstance(value, int) else 0

    @property
    def parameters(self) -> int:
        """Number of weights."""
        total = 0
        for tensor in self.tensors:
            size = 1
            for dimension in tensor.shape:
                size *= dimension
            total += size
        return total


class _Cursor:
    """Reads little-endian values from a buffer, never past its end."""

    def __init__(self, buffer: bytes | mmap.mmap) -> None:
        self.buffer = buffer
        self.at = 0

    def _advance(self, size: int) -> int:
        start, self.at = self.at, self.at + size
        if self.at > len(self.buffer):
            raise GgufError("Truncated", f"the header goes on past the file's {len(self.buffer)} bytes")
        return start

    def scalar(self, code: str) -> Any:
        start = self._advance(struct.calcsize("<" + code))
        return struct.unpack_from("<" + code, self.buffer, start)[0]

    def count(self, limit: int, what: str) -> int:
        value = int(self.scalar("Q"))
        if value > limit:
            raise GgufError("NotGguf", f"the header claims {value} {what}")
        return value

    def string(self) -> str:
        length = int(self.scalar("Q"))
        start = self._advance(length)
        return self.buffer[start : self.at].decode(errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise GgufError("NotGguf", f"the header has a value of unknown type {kind}")
        return self.scalar(_SCALARS[kind])

    def _array(self) -> list[Any]:
        kind, length = int(self.scalar("I")), int(self.scalar("Q"))
        if kind in _SCALARS:
            code = f"<{length}{_SCALARS[kind]}"
            if length > len(self.buffer):
                raise GgufError("Truncated", f"the header claims an array of {length} values")
            return list(struct.unpack_from(code, self.buffer, self._advance(struct.calcsize(code))))
        if kind != _STRING:
            raise GgufError("NotGguf", f"the header has an array of type {kind}")
        return [self.string() for _ in range(length)]


def parse_header(buffer: bytes | mmap.mmap) -> GgufHeader:
    """Read the header at the start of `buffer`, which holds the whole file or at least its whole header.

    Raises:
        GgufError: NotGguf or Truncated.
    """
    cursor = _Cursor(buffer)
    if buffer[:4] != MAGIC:
        raise GgufError("NotGguf", "the file does not start with GGUF's magic number")
    cursor.at = 4
    version = cursor.scalar("I")
    if version not in (2, 3):
        raise GgufError("NotGguf", f"GGUF version {version} is not known (2 and 3 are)")
    tensor_count = cursor.count(MAX_TENSORS, "tensors")
    metadata = {}
    for _ in range(cursor.count(MAX_KEYS, "metadata keys")):
        key = cursor.string()
        metadata[key] = cursor.value(int(cursor.scalar("I")))
    tensors = tuple(_tensor(cursor) for _ in range(tensor_count))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise GgufError("NotGguf", f"the header has an alignment of {alignment!r}")
    return GgufHeader(metadata, tensors, -(-cursor.at // alignment) * alignment)


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.string()
    dimensions = int(cursor.scalar("I"))
    if dimensions > MAX_DIMENSIONS:
        raise GgufError("NotGguf", f"tensor {name[:80]!r} has {dimensions} dimensions")
    shape = tuple(int(cursor.scalar("Q")) for _ in range(dimensions))
    return Tensor(name, shape, int(cursor.scalar("I")), int(cursor.scalar("Q")))


def read_header(path: Path) -> GgufHeader:
    """Read the header of the file at `path`.

    Raises:
        GgufError: FileMissing, NotGguf or Truncated.
    """
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise GgufError("Truncated", "the file is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
                return parse_header(buffer)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise GgufError("FileMissing", f"there is no file {path}") from error
    except PermissionError as error:
        raise GgufError("FileMissing", f"the file {path} may not be read by this user") from error
