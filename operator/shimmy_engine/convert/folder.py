"""The files of a model or an adapter as Hugging Face's libraries save them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shimmy_engine.gguf_header import GgufError

_SINGLE: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder with config.json, and the files that hold its weights."""

    path: Path
    weights: tuple[Path, ...]


def open_model(source: Path) -> ModelFolder:
    """The model at `source`: a folder, or one .safetensors file with its config.json beside it.

    Raises:
        GgufError: FileMissing or Unsupported, naming what is not there.
    """
    folder = source.parent if source.is_file() else source
    if not folder.is_dir():
        raise GgufError("FileMissing", f"there is no folder and no file {source}")
    if source.is_file() and source.suffix != ".safetensors":
        raise GgufError("Unsupported", f"{source.name} is no .safetensors file and no folder with such files")
    if not (folder / "config.json").exists():
        if (folder / ADAPTER_CONFIG).exists():
            raise GgufError("FileMissing", f"{folder} holds an adapter and no model: name its base, too")
        raise GgufError("FileMissing", f"{folder} has no config.json, which says what the weights are")
    return ModelFolder(folder, (source,) if source.is_file() else _weight_files(folder))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        GgufError: FileMissing or Unsupported.
    """
    found = read_optional_json(path)
    if found is None:
        raise GgufError("FileMissing", f"{path.parent} has no {path.name}")
    return found


def read_optional_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no such file.

    Raises:
        GgufError: FileMissing (it may not be read) or Unsupported (it holds no object).
    """
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GgufError("FileMissing", f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise GgufError("Unsupported", f"{path.name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise GgufError("Unsupported", f"{path.name} holds no JSON object")
    return found


def _weight_files(folder: Path) -> tuple[Path, ...]:
    index = read_optional_json(folder / _INDEX)
    if index is None:
        if (folder / _SINGLE).exists():
            return (folder / _SINGLE,)
        if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
            raise GgufError("Unsupported", f"{folder} holds its weights in pickle files; only safetensors are read")
        raise GgufError("FileMissing", f"{folder} has neither {_SINGLE} nor {_INDEX}")
    names = index.get("weight_map")
    if not isinstance(names, dict) or not names:
        raise GgufError("Unsupported", f"{_INDEX} has no weight_map")
    files = sorted({str(name) for name in names.values()})
    for name in files:
        if Path(name).name != name:
            raise GgufError("Unsupported", f"{_INDEX} names {name!r}, which is outside the folder")
        if not (folder / name).exists():
            raise GgufError("FileMissing", f"{_INDEX} names {name}, which is not there")
    return tuple(folder / name for name in files)
