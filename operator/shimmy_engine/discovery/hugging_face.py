"""What the folders of Hugging Face's libraries hold: models, and adapters of PEFT."""

import json
from pathlib import Path
from typing import Any, Final

from shimmy_api.discovery import Discovered
from shimmy_api.naming import dns_label
from shimmy_engine.discovery.candidates import ADAPTER_CONFIG, CONFIG, Candidate
from shimmy_engine.discovery.tensors import read_weights
from shimmy_engine.discovery.unusable import UnusableError
from shimmy_engine.discovery.walk import shown

_INDEX: Final = "model.safetensors.index.json"
_WHOLE: Final = "model.safetensors"
_LONGEST_JSON: Final = 64 << 20
_CACHED: Final = "models--"
"""Prefix of folders in the cache of huggingface_hub: models--ORG--NAME/snapshots/REVISION.

Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""


def inspect_model(candidate: Candidate) -> Discovered:
    """Describe a folder with config.json and weights.

    Raises:
        UnusableError: Damaged, Incomplete or Unsupported.

    """
    config = _read(candidate.path / CONFIG)
    _refuse_pickled(candidate)
    kinds = config.get("architectures") or [config.get("model_type")]
    if not isinstance(kinds, list) or not isinstance(kinds[0], str):
        raise UnusableError("Unsupported", f"{CONFIG} names no architecture")
    weights = read_weights(_parts(candidate))
    context = config.get("max_position_embeddings", 0)
    repository = hub_name(candidate.path)
    stated = str(config.get("_name_or_path") or "")
    return Discovered(
        name=dns_label(repository.rpartition("/")[2]),
        kind="huggingFace",
        path=shown(candidate.path),
        size_bytes=weights.size_bytes,
        architecture=kinds[0][:512],
        quantization=weights.dtype,
        context_length=context if isinstance(context, int) and context > 0 else 0,
        parameters=weights.parameters,
        known_as=tuple(dict.fromkeys(name[:512] for name in (repository, stated) if name)),
    )


def inspect_adapter(candidate: Candidate) -> Discovered:
    """Describe a folder with adapter_config.json.

    Raises:
        UnusableError: Damaged, Incomplete or Unsupported.

    """
    config = _read(candidate.path / ADAPTER_CONFIG)
    _refuse_pickled(candidate)
    if not candidate.weights:
        raise UnusableError("Incomplete", "there is no file with the adapter's weights")
    kind = str(config.get("peft_type", "")).lower()
    rank = config.get("r")
    if kind != "lora" or not isinstance(rank, int) or rank < 1:
        raise UnusableError("Unsupported", f"the adapter is of type {kind[:80]!r}; lora, with a rank, can be merged")
    weights = read_weights(candidate.path / name for name in candidate.weights)
    return Discovered(
        name=dns_label(hub_name(candidate.path).rpartition("/")[2]),
        kind="peft",
        path=shown(candidate.path),
        size_bytes=weights.size_bytes,
        quantization=weights.dtype,
        parameters=weights.parameters,
        base=str(config.get("base_model_name_or_path") or "")[:512],
        adapter_type=kind,
        rank=rank,
    )


def refuse_bare(candidate: Candidate) -> UnusableError:
    """Weights that nothing describes."""
    missing = f"{CONFIG} (a model) or {ADAPTER_CONFIG} (an adapter)"
    return UnusableError("NoConfig", f"{candidate.weights[0]} lies there without {missing}")


def hub_name(folder: Path) -> str:
    """ORG/NAME of a folder in Hugging Face's cache, or else the folder's name after its parent's.

    A folder is often named after the repository that it was copied from, so that PARENT/NAME may well be that.
    """
    for part in reversed(folder.parts[:-2]):
        if part.startswith(_CACHED) and "snapshots" in folder.parts:
            return part.removeprefix(_CACHED).replace("--", "/", 1)
    return "/".join(shown(Path(part)) for part in folder.parts[-2:] if part != folder.anchor)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LONGEST_JSON:
            raise UnusableError("Damaged", f"{path.name} is no configuration: it has {path.stat().st_size} bytes")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise UnusableError("Unreadable", f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UnusableError("Damaged", f"{path.name} is no JSON") from error
    if not isinstance(found, dict):
        raise UnusableError("Damaged", f"{path.name} holds no JSON object")
    return found


def _refuse_pickled(candidate: Candidate) -> None:
    if candidate.pickled and not candidate.weights:
        advice = "loading them runs whatever code is in them; save the model as safetensors"
        raise UnusableError("Pickled", f"its weights ({candidate.pickled[0]}) are pickled: {advice}")


def _parts(candidate: Candidate) -> list[Path]:
    """The files that make up the model: others may hold the same weights in another layout."""
    index = candidate.path / _INDEX
    if not index.exists():
        names = [_WHOLE] if _WHOLE in candidate.weights else sorted(candidate.weights)
        return [candidate.path / name for name in names]
    parts = _read(index).get("weight_map")
    if not isinstance(parts, dict):
        raise UnusableError("Damaged", f"{_INDEX} has no weight_map")
    names = sorted({str(part) for part in parts.values()})
    missing = [name for name in names if name not in candidate.weights]
    if missing:
        raise UnusableError("Incomplete", f"parts of the model are missing: {', '.join(missing[:3])}")
    return [candidate.path / name for name in names]
