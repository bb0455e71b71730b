"""Reads tensors from safetensors files, some rows at a time."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import ml_dtypes  # noqa: F401 - makes bfloat16 known to numpy
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from shimmy_engine.gguf_header import GgufError

Floats = NDArray[np.float32]
_KINDS: Final = frozenset({"F32", "F16", "BF16"})


class Checkpoint:
    """The tensors of several files as one collection. Files are memory-mapped; use as a context manager."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Read the headers of all files.

        Raises:
            GgufError: NotSafetensors or Unsupported.
        """
        self._open = ExitStack()
        self._slices: dict[str, Any] = {}
        try:
            for file in files:
                self._add(file)
        except BaseException:
            self._open.close()
            raise
        self.shapes: dict[str, tuple[int, ...]] = {
            name: tuple(found.get_shape()) for name, found in self._slices.items()
        }

    def rows(self, name: str, start: int, stop: int) -> Floats:
        """Rows of a tensor as 32-bit floats; of a vector, its values.

        Raises:
            GgufError: Unsupported, where a value is no finite number.
        """
        values: Floats = self._slices[name][start:stop].astype(np.float32)
        if not np.isfinite(values).all():
            raise GgufError("Unsupported", f"tensor {name!r} holds values that are no finite numbers")
        return values

    def whole(self, name: str) -> Floats:
        """All of a tensor."""
        return self.rows(name, 0, self.shapes[name][0])

    def _add(self, file: Path) -> None:
        try:
            opened: Any = self._open.enter_context(safe_open(file, "numpy"))
            for name in opened.keys():  # noqa: SIM118 - no mapping
                found = opened.get_slice(name)
                if found.get_dtype() not in _KINDS:
                    message = f"{file.name}: tensor {name!r} is of type {found.get_dtype()}"
                    raise GgufError("Unsupported", f"{message}; {', '.join(sorted(_KINDS))} can be converted")
                if not found.get_shape():
                    raise GgufError("Unsupported", f"{file.name}: tensor {name!r} has no dimension")
                if name in self._slices:
                    raise GgufError("Unsupported", f"{file.name}: tensor {name!r} is in two files")
                self._slices[name] = found
        except SafetensorError as error:
            raise GgufError("NotSafetensors", f"{file.name} is damaged or no safetensors file: {error}") from error
        except OSError as error:
            raise GgufError("FileMissing", f"{file} cannot be read: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slices.clear()
        self._open.close()
