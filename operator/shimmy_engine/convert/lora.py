"""Converts a PEFT adapter to a GGUF adapter, for engines that add it to a GGUF model at run time."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType

from shimmy_engine.convert.adapter import Adapter, Pair, open_adapter
from shimmy_engine.convert.checkpoint import Floats
from shimmy_engine.convert.gguf_file import FileTensor, write_gguf
from shimmy_engine.convert.layout import NameMap, Shape, interleaved_heads
from shimmy_engine.convert.weights import interleave
from shimmy_engine.gguf_header import GgufError, GgufHeader, read_header
from shimmy_engine.lora_file import SIDES, LoraFile, check_lora
from shimmy_engine.whole_file import whole_file


def convert_lora(source: Path, destination: Path, *, base: Path) -> LoraFile:
    """Convert the adapter in folder `source` for the GGUF model `base`; the file appears when it is complete and fits.

    Raises:
        GgufError: FileMissing, NotGguf, NotSafetensors, Unsupported, AdapterMismatch, NoSpace or NotWritable.
    """
    header = read_header(base)
    with closing(open_adapter(source)) as adapter:
        tensors = list(_tensors(adapter, header))
        metadata = {
            "general.architecture": header.architecture,
            "general.type": "adapter",
            "general.name": source.resolve().name,
            "general.file_type": int(gguf.LlamaFileType.ALL_F32),
            "adapter.type": "lora",
            "adapter.lora.alpha": adapter.alpha,
        }
        with whole_file(destination) as unfinished:
            write_gguf(unfinished, metadata, tensors)
            return check_lora(unfinished, header, None)


def _tensors(adapter: Adapter, base: GgufHeader) -> Iterator[FileTensor]:
    architecture = base.architecture
    names = NameMap(architecture, _count(base, "block_count"))
    heads = _count(base, "attention.head_count")
    kv_heads = _count(base, "attention.head_count_kv", heads)
    for source, pair in adapter.pairs.items():
        name = names.find(source)
        if not name:
            raise GgufError("AdapterMismatch", f"the adapter changes {pair.module}, which the model does not have")
        turned = interleaved_heads(architecture, name, heads, kv_heads)
        yield _tensor(f"{name}{SIDES[0]}", (pair.rank, pair.inputs), partial(_matrix_a, adapter, pair))
        yield _tensor(f"{name}{SIDES[1]}", (pair.outputs, pair.rank), partial(_matrix_b, adapter, pair, turned))


def _tensor(name: str, shape: Shape, make: Callable[[], Floats]) -> FileTensor:
    return FileTensor(name, shape, GGMLQuantizationType.F32, lambda: iter([make()]))


def _matrix_a(adapter: Adapter, pair: Pair) -> Floats:
    return adapter.matrices(pair)[0]


def _matrix_b(adapter: Adapter, pair: Pair, turned: int) -> Floats:
    """B as engines want it: they multiply with alpha / rank, whatever the adapter does; zero means one to them."""
    strength = adapter.alpha / pair.rank or 1.0
    values: Floats = adapter.matrices(pair)[1] * np.float32(pair.scale / strength)
    return interleave(values, pair.outputs // turned) if turned else values


def _count(base: GgufHeader, key: str, default: int | None = None) -> int:
    value = base.metadata.get(f"{base.architecture}.{key}", default)
    if not isinstance(value, int) or value < 1:
        raise GgufError("Unsupported", f"the model's header has no usable {base.architecture}.{key}")
    return value
