"""What a Hugging Face config.json says, as far as a GGUF file needs it; what it says beyond that is refused."""

from dataclasses import dataclass
from typing import Any, Final

from shimmy_engine.convert.rope import Rope, parse_rope
from shimmy_engine.gguf_header import GgufError


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of model that was compared with transformers."""

    architecture: str
    """GGUF's general.architecture."""
    query_key_norm: bool = False
    qkv_bias: bool = False
    """Whether there always are biases of query, key and value."""
    optional_biases: tuple[str, ...] = ()
    """Settings that ask for more biases and are known for this kind."""


FAMILIES: Final[dict[str, Family]] = {
    "llama": Family("llama", optional_biases=("attention_bias", "mlp_bias")),
    "mistral": Family("llama"),
    "qwen2": Family("qwen2", qkv_bias=True),
    "qwen3": Family("qwen3", query_key_norm=True),
}
"""By config.json's model_type."""
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "auto_map": (None,),
    "embedding_multiplier": (None, 1),
    "hidden_act": (None, "silu", "swish"),
    "logits_scaling": (None, 1),
    "num_experts": (None, 0),
    "num_local_experts": (None, 0),
    "partial_rotary_factor": (None, 1),
    "quantization_config": (None,),
    "residual_multiplier": (None, 1),
}
"""Settings that change what a model computes, and the values with which they change nothing."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes in weights, tokens and layers."""

    family: Family
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    norm_epsilon: float
    tied: bool
    """Whether the output head is the embedding's table."""
    attention_bias: bool
    mlp_bias: bool
    rope: Rope

    def as_metadata(self) -> dict[str, Any]:
        """The keys that describe the model, with the architecture's name in front."""
        keys = {
            "context_length": self.context,
            "embedding_length": self.hidden,
            "block_count": self.layers,
            "feed_forward_length": self.feed_forward,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.key_length": self.head_dim,
            "attention.value_length": self.head_dim,
            "attention.layer_norm_rms_epsilon": self.norm_epsilon,
            "rope.dimension_count": self.head_dim,
            "rope.freq_base": self.rope.base,
            "vocab_size": self.vocabulary,
            **self.rope.metadata,
        }
        return {f"{self.family.architecture}.{key}": value for key, value in keys.items()}


def parse_config(config: dict[str, Any]) -> ModelConfig:
    """Read config.json.

    Raises:
        GgufError: Unsupported, naming the setting that no engine here computes with.
    """
    family = _family(config)
    for key, neutral in _NEUTRAL.items():
        if config.get(key) not in neutral:
            raise GgufError("Unsupported", f"config.json: {key} {_brief(config[key])} is not supported")
    for key in ("attention_bias", "mlp_bias"):
        if config.get(key) and key not in family.optional_biases:
            raise GgufError("Unsupported", f"config.json: {key} is not supported for {config['model_type']}")
    heads, hidden = _count(config, "num_attention_heads"), _count(config, "hidden_size")
    head_dim = _count(config, "head_dim", hidden // heads)
    if head_dim % 2:
        raise GgufError("Unsupported", f"config.json: heads of {head_dim} values cannot be rotated in pairs")
    rope = parse_rope(config, head_dim)
    if rope.factors and family.architecture != "llama":
        raise GgufError("Unsupported", f"config.json: rope scaling 'llama3' is not known for {family.architecture}")
    return ModelConfig(
        family=family,
        layers=_count(config, "num_hidden_layers"),
        hidden=hidden,
        feed_forward=_count(config, "intermediate_size"),
        heads=heads,
        kv_heads=_count(config, "num_key_value_heads", heads),
        head_dim=head_dim,
        vocabulary=_count(config, "vocab_size"),
        context=_context(config),
        norm_epsilon=float(config.get("rms_norm_eps") or 1e-6),
        tied=bool(config.get("tie_word_embeddings", False)),
        attention_bias=family.qkv_bias or bool(config.get("attention_bias", False)),
        mlp_bias=bool(config.get("mlp_bias", False)),
        rope=rope,
    )


def _family(config: dict[str, Any]) -> Family:
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise GgufError("Unsupported", f"models of type {kind!r} cannot be converted; known are {', '.join(FAMILIES)}")
    classes = config.get("architectures") or ["ForCausalLM"]
    if not any(str(name).endswith("ForCausalLM") for name in classes):
        raise GgufError("Unsupported", f"{', '.join(map(str, classes))} is no model that generates text")
    return FAMILIES[kind]


def _context(config: dict[str, Any]) -> int:
    """Tokens that may be used; within a sliding window it makes no difference, and beyond it engines would differ."""
    context = _count(config, "max_position_embeddings")
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    return min(context, int(window)) if window else context


def _count(config: dict[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key) or default
    if not isinstance(value, int) or not 0 < value < 1 << 31:
        raise GgufError("Unsupported", f"config.json: {key} is {_brief(value)}, which is no count")
    return value


def _brief(value: Any) -> str:
    return repr(value)[:100]
