"""Converts a model from safetensors to a GGUF file, with or without an adapter merged into it."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np

from shimmy_api import model as api
from shimmy_engine.convert.adapter import open_adapter
from shimmy_engine.convert.checkpoint import Checkpoint
from shimmy_engine.convert.config import ModelConfig, parse_config
from shimmy_engine.convert.folder import ModelFolder, open_model, read_json
from shimmy_engine.convert.gguf_file import FileTensor, write_gguf
from shimmy_engine.convert.layout import map_tensors
from shimmy_engine.convert.quantization import QUANTIZATIONS, Quantization, encoded_size
from shimmy_engine.convert.rope import Rope
from shimmy_engine.convert.vocabulary import read_vocabulary
from shimmy_engine.convert.weights import Weights, check_pairs
from shimmy_engine.model_file import ModelFile, check_file
from shimmy_engine.progress import Progress
from shimmy_engine.whole_file import require_space, whole_file

log = logging.getLogger(__name__)

_HEADER_BYTES: Final = 64 << 20
"""More than a header with the largest vocabularies takes."""


def convert_model(
    source: Path, destination: Path, *, adapter: Path | None = None, quantization: api.Quantization = "Q8_0"
) -> ModelFile:
    """Convert the model at `source`, a folder or a .safetensors file, with the adapter in a folder merged into it.

    The file appears when it is complete and has been checked. The same input gives the same bytes.

    Raises:
        GgufError: FileMissing, NotSafetensors, Truncated, Unsupported, AdapterMismatch, NoSpace or NotWritable.
    """
    folder, chosen = open_model(source), QUANTIZATIONS[quantization]
    raw = read_json(folder.path / "config.json")
    config = parse_config(raw)
    vocabulary = read_vocabulary(folder.path, config.vocabulary, raw)
    with ExitStack() as stack:
        base = stack.enter_context(Checkpoint(folder.weights))
        mapped = map_tensors(config, base.shapes)
        merged = open_adapter(adapter) if adapter else None
        if merged:
            stack.callback(merged.close)
            check_pairs(merged, mapped)
        size = sum(encoded_size(tensor.shape, chosen.type_of(tensor.name, tensor.shape)) for tensor in mapped)
        log.info("converting %d tensors to %d MB of %s", len(mapped), size // 1_000_000, quantization)
        weights = Weights(base, merged, chosen, Progress("converted", size).add)
        tensors = [*_rope_factors(config.rope), *(weights.tensor(tensor) for tensor in mapped)]
        with whole_file(destination) as unfinished:
            require_space(unfinished.parent, size + _HEADER_BYTES)
            write_gguf(unfinished, _metadata(folder, config, chosen) | vocabulary, tensors)
            return check_file(unfinished, None)


def _metadata(folder: ModelFolder, config: ModelConfig, quantization: Quantization) -> dict[str, Any]:
    return {
        "general.architecture": config.family.architecture,
        "general.type": "model",
        "general.name": folder.path.resolve().name,
        "general.file_type": int(quantization.file_type),
        "general.quantization_version": gguf.GGML_QUANT_VERSION,
        **config.as_metadata(),
    }


def _rope_factors(rope: Rope) -> list[FileTensor]:
    if not rope.factors:
        return []
    values = np.array(rope.factors, np.float32)
    return [FileTensor("rope_freqs.weight", values.shape, gguf.GGMLQuantizationType.F32, lambda: iter([values]))]
