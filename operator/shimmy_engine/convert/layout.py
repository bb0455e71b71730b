"""Which tensor of a checkpoint becomes which tensor of a GGUF file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, get_tensor_name_map

from shimmy_engine.convert.config import ModelConfig
from shimmy_engine.gguf_header import GgufError

Shape = tuple[int, ...]
EMBEDDING: Final = "token_embd.weight"
HEAD: Final = "output.weight"
_ARCHITECTURES: Final = {name: key for key, name in MODEL_ARCH_NAMES.items()}
_SUFFIXES: Final = (".weight", ".bias")
_COMPUTED: Final = ".rotary_emb.inv_freq"
"""Written by old versions of transformers; follows from config.json."""
_HEAD_SOURCE: Final = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Mapped:
    """A tensor of the file: its name, the checkpoint's name for it, and its shape, rows first."""

    name: str
    source: str
    shape: Shape
    interleaved_heads: int
    """Number of heads whose halves must be interleaved; 0 where rows stay as they are."""


def map_tensors(config: ModelConfig, available: Mapping[str, Shape]) -> list[Mapped]:
    """Every tensor of the file in the order of the model's layers.

    Raises:
        GgufError: Unsupported or Truncated, naming a tensor that is unknown, missing or of another shape.
    """
    wanted = dict(_shapes(config))
    names = NameMap(config.family.architecture, config.layers)
    sources: dict[str, str] = {}
    for source in available:
        if source.endswith(_COMPUTED) or (config.tied and source == _HEAD_SOURCE):
            continue
        name = names.find(source)
        if name not in wanted:
            raise GgufError("Unsupported", f"tensor {source!r} belongs to no part of this kind of model")
        sources[name] = source
    return [_mapped(config, name, shape, sources, available) for name, shape in wanted.items()]


class NameMap:
    """Names of GGUF tensors by those of Hugging Face checkpoints."""

    def __init__(self, architecture: str, layers: int) -> None:
        """`architecture` is GGUF's name of it.

        Raises:
            GgufError: Unsupported, where it is none that the gguf package knows.
        """
        arch = _ARCHITECTURES.get(architecture, MODEL_ARCH.LLAMA)
        if architecture not in _ARCHITECTURES:
            raise GgufError("Unsupported", f"architecture {architecture!r} is not known")
        self._map: Any = get_tensor_name_map(arch, layers)

    def find(self, source: str) -> str:
        """The GGUF name, empty for a tensor that the architecture does not have."""
        return str(self._map.get_name(source, try_suffixes=_SUFFIXES) or "")


def interleaved_heads(architecture: str, name: str, heads: int, kv_heads: int) -> int:
    """Heads to interleave in the rows of tensor `name`, 0 for none.

    llama.cpp rotates neighbouring pairs for its architecture "llama" (LLAMA_ROPE_TYPE_NORM in src/llama-model.cpp).
    """
    if architecture != "llama":
        return 0
    part = name.rpartition(".")[0].rpartition(".")[2]
    return {"attn_q": heads, "attn_k": kv_heads}.get(part, 0)


def _mapped(
    config: ModelConfig, name: str, shape: Shape, sources: Mapping[str, str], available: Mapping[str, Shape]
) -> Mapped:
    if name not in sources:
        raise GgufError("Truncated", f"the weights lack what is called {name} in GGUF files")
    source = sources[name]
    if available[source] != shape:
        raise GgufError("Unsupported", f"tensor {source!r} has the shape {available[source]}, not {shape}")
    heads = interleaved_heads(config.family.architecture, name, config.heads, config.kv_heads)
    return Mapped(name, source, shape, heads)


def _shapes(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    hidden, vocabulary = config.hidden, config.vocabulary
    yield EMBEDDING, (vocabulary, hidden)
    for layer in range(config.layers):
        for name, shape in _layer_shapes(config):
            yield f"blk.{layer}.{name}", shape
    yield "output_norm.weight", (hidden,)
    if not config.tied:
        yield HEAD, (vocabulary, hidden)


def _layer_shapes(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    hidden, wide, narrow = config.hidden, config.heads * config.head_dim, config.kv_heads * config.head_dim
    attention = {"attn_q": (wide, hidden), "attn_k": (narrow, hidden), "attn_v": (narrow, hidden)}
    feed_forward = {
        "ffn_gate": (config.feed_forward, hidden),
        "ffn_up": (config.feed_forward, hidden),
        "ffn_down": (hidden, config.feed_forward),
    }
    yield "attn_norm.weight", (hidden,)
    yield from _linear(attention, bias=config.attention_bias)
    output_bias = config.attention_bias and not config.family.qkv_bias
    yield from _linear({"attn_output": (hidden, wide)}, bias=output_bias)
    if config.family.query_key_norm:
        yield "attn_q_norm.weight", (config.head_dim,)
        yield "attn_k_norm.weight", (config.head_dim,)
    yield "ffn_norm.weight", (hidden,)
    yield from _linear(feed_forward, bias=config.mlp_bias)


def _linear(shapes: Mapping[str, Shape], *, bias: bool) -> Iterator[tuple[str, Shape]]:
    for name, shape in shapes.items():
        yield f"{name}.weight", shape
        if bias:
            yield f"{name}.bias", shape[:1]
