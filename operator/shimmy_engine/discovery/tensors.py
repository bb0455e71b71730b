"""Reads the headers of safetensors files; the weights themselves stay on disk."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open

from shimmy_engine.gguf_header import GgufError


@dataclass(frozen=True, slots=True)
class Weights:
    """What the headers of all files of a model say together."""

    parameters: int
    dtype: str
    """Type of most weights, such as BF16."""
    size_bytes: int


def read_weights(files: Iterable[Path]) -> Weights:
    """Read the headers of a model's files, which the library checks against the files' sizes.

    Raises:
        GgufError: NotSafetensors.

    """
    by_type: Counter[str] = Counter()
    size = 0
    for path in files:
        size += path.stat().st_size
        try:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 - no mapping
                    part = file.get_slice(name)
                    by_type[part.get_dtype()] += prod(part.get_shape())
        except (SafetensorError, OSError) as error:
            raise GgufError("NotSafetensors", f"{path.name} cannot be read: {error}") from error
    dtype = max(by_type, key=lambda name: by_type[name], default="")
    return Weights(by_type.total(), dtype, size)
