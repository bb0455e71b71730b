"""What the folders of Hugging Face's libraries hold: models, and adapters of PEFT, as far as they can be converted."""

from pathlib import Path
from typing import Final

from shimmy_api.discovery import Discovered
from shimmy_api.naming import dns_label
from shimmy_engine.convert.adapter import open_adapter
from shimmy_engine.convert.checkpoint import Checkpoint
from shimmy_engine.convert.config import parse_config
from shimmy_engine.convert.folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS, open_model, read_json
from shimmy_engine.convert.layout import map_tensors
from shimmy_engine.convert.vocabulary import read_vocabulary
from shimmy_engine.discovery.candidates import CONFIG, Candidate
from shimmy_engine.discovery.tensors import read_weights
from shimmy_engine.discovery.walk import shown
from shimmy_engine.gguf_header import GgufError

_CACHED: Final = "models--"
"""Prefix of folders in the cache of huggingface_hub: models--ORG--NAME/snapshots/REVISION.

Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""


def inspect_model(path: Path) -> Discovered:
    """Describe a folder with config.json and weights.

    Raises:
        GgufError: it is damaged or incomplete, or it cannot be converted for an engine.

    """
    folder, stated = open_model(path), read_json(path / CONFIG)
    config = parse_config(stated)
    read_vocabulary(path, config.vocabulary, stated)
    with Checkpoint(folder.weights) as tensors:
        map_tensors(config, tensors.shapes)
    weights = read_weights(folder.weights)
    repository, origin = hub_name(path), str(stated.get("_name_or_path") or "")
    return Discovered(
        name=dns_label(repository.rpartition("/")[2]),
        kind="huggingFace",
        path=shown(path),
        size_bytes=weights.size_bytes,
        architecture=config.family.architecture,
        quantization=weights.dtype,
        context_length=config.context,
        parameters=weights.parameters,
        known_as=tuple(dict.fromkeys(name[:512] for name in (repository, origin) if name)),
    )


def inspect_adapter(path: Path) -> Discovered:
    """Describe a folder with adapter_config.json.

    Raises:
        GgufError: it is damaged or incomplete, or it is of a kind that cannot be merged.

    """
    adapter = open_adapter(path)
    rank = max(pair.rank for pair in adapter.pairs.values())
    adapter.close()
    weights = read_weights([path / ADAPTER_WEIGHTS])
    return Discovered(
        name=dns_label(hub_name(path).rpartition("/")[2]),
        kind="peft",
        path=shown(path),
        size_bytes=weights.size_bytes,
        quantization=weights.dtype,
        parameters=weights.parameters,
        base=str(read_json(path / ADAPTER_CONFIG).get("base_model_name_or_path") or "")[:512],
        adapter_type="lora",
        rank=rank,
    )


def refuse_bare(candidate: Candidate) -> GgufError:
    """Weights that nothing describes."""
    missing = f"{CONFIG} (a model) or {ADAPTER_CONFIG} (an adapter)"
    return GgufError("NoConfig", f"{candidate.parts[0]} lies there without {missing}")


def hub_name(folder: Path) -> str:
    """ORG/NAME of a folder in Hugging Face's cache, or else the folder's name after its parent's.

    A folder is often named after the repository that it was copied from, so that PARENT/NAME may well be that.
    """
    for part in reversed(folder.parts[:-2]):
        if part.startswith(_CACHED) and "snapshots" in folder.parts:
            return part.removeprefix(_CACHED).replace("--", "/", 1)
    return "/".join(shown(Path(part)) for part in folder.parts[-2:] if part != folder.anchor)
