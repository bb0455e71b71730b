"""What in a folder looks like a model: by names alone, pure."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from shimmy_engine.convert.folder import ADAPTER_CONFIG
from shimmy_engine.discovery.walk import Folder

CONFIG: Final = "config.json"
_GGUF: Final = ".gguf"
_SAFETENSORS: Final = ".safetensors"
_PICKLED: Final = re.compile(r"pytorch_model.*\.bin")
_SPLIT: Final = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf")
"""Names that llama.cpp gives to the parts of a model (`llama_split_path` in src/llama.cpp)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to look into: a file of kind gguf, or a folder."""

    kind: Literal["gguf", "split", "huggingFace", "peft", "bare"]
    """`split`: parts of one GGUF model; `bare`: safetensors files that nothing describes."""
    path: Path
    parts: tuple[str, ...] = ()
    """Files of a split or bare model."""
    missing: tuple[str, ...] = ()
    """Parts of a split model that are not there."""


def candidates(folder: Folder) -> list[Candidate]:
    """The candidates of one folder."""
    ggufs = [name for name in folder.files if name.lower().endswith(_GGUF)]
    whole = [Candidate("gguf", folder.path / name) for name in ggufs if not _SPLIT.fullmatch(name)]
    return [*_folder(folder), *_splits(folder.path, ggufs), *whole]


def _folder(folder: Folder) -> list[Candidate]:
    tensors = tuple(name for name in folder.files if name.endswith(_SAFETENSORS))
    pickled = any(_PICKLED.fullmatch(name) for name in folder.files)
    if ADAPTER_CONFIG in folder.files:
        return [Candidate("peft", folder.path)]
    if CONFIG in folder.files and (tensors or pickled):
        return [Candidate("huggingFace", folder.path)]
    return [Candidate("bare", folder.path, tensors)] if tensors else []


def _splits(folder: Path, names: list[str]) -> list[Candidate]:
    sets: dict[tuple[str, str], list[str]] = {}
    for name in names:
        match = _SPLIT.fullmatch(name)
        if match:
            sets.setdefault((match["stem"], match["parts"]), []).append(name)
    return [_split(folder, stem, int(parts), found) for (stem, parts), found in sorted(sets.items())]


def _split(folder: Path, stem: str, parts: int, found: list[str]) -> Candidate:
    expected = (f"{stem}-{part:05}-of-{parts:05}.gguf" for part in range(1, parts + 1))
    missing = tuple(name for name in expected if name not in found)
    return Candidate("split", folder / found[0], tuple(found), missing)
