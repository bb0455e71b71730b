"""Rotary position embeddings: from a Hugging Face config to what llama.cpp computes with."""

from dataclasses import dataclass, field
from math import pi
from typing import Any, Final

from shimmy_engine.gguf_header import GgufError

_YARN_NEUTRAL: Final = {
    "attention_factor": (None,),
    "beta_fast": (None, 32),
    "beta_slow": (None, 1),
    "mscale": (None,),
    "mscale_all_dim": (None,),
    "truncate": (None, True),
}
"""Settings of YaRN that this line of llama.cpp computes with fixed values."""


@dataclass(frozen=True, slots=True)
class Rope:
    """`metadata` has keys without the architecture's name; `factors` divide each frequency (rope_freqs.weight)."""

    base: float
    metadata: dict[str, Any] = field(default_factory=dict)
    factors: tuple[float, ...] = ()


def parse_rope(config: dict[str, Any], head_dim: int) -> Rope:
    """Read `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before).

    Raises:
        GgufError: Unsupported, for a kind of scaling that is not known here.
    """
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(scaling, dict) or any(isinstance(value, dict) for value in scaling.values()):
        raise GgufError("Unsupported", "config.json: rope parameters that are not the same for all layers")
    base = float(scaling.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    if scaling.get("partial_rotary_factor", 1) not in (None, 1):
        raise GgufError("Unsupported", "config.json: partial_rotary_factor is not supported")
    kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
    try:
        match kind:
            case "default":
                return Rope(base)
            case "linear":
                scale = {"rope.scaling.type": "linear", "rope.scaling.factor": float(scaling["factor"])}
                return Rope(base, scale)
            case "yarn":
                return Rope(base, _yarn(scaling, config))
            case "llama3":
                return Rope(base, factors=_llama3(scaling, base, head_dim))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise GgufError("Unsupported", f"config.json: the rope scaling {kind!r} is incomplete: {error}") from error
    raise GgufError("Unsupported", f"config.json: rope scaling {kind!r} is not supported (linear, yarn, llama3 are)")


def _yarn(scaling: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    for key, neutral in _YARN_NEUTRAL.items():
        if scaling.get(key) not in neutral:
            raise GgufError("Unsupported", f"config.json: {key} of YaRN is not supported")
    original = scaling.get("original_max_position_embeddings") or config["max_position_embeddings"]
    return {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": float(scaling["factor"]),
        "rope.scaling.original_context_length": int(original),
    }


def _llama3(scaling: dict[str, Any], base: float, head_dim: int) -> tuple[float, ...]:
    """By how much each frequency is lowered: not at all for short waves, by `factor` for long ones, smoothly between.

    Source: `_compute_llama3_parameters` in transformers' modeling_rope_utils.py.
    """
    factor, low, high = (float(scaling[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    original = float(scaling["original_max_position_embeddings"])

    def lowered(pair: int) -> float:
        wave = 2 * pi * float(base ** (2 * pair / head_dim))
        share = min(max((original / wave - low) / (high - low), 0.0), 1.0)
        return 1 / (share + (1 - share) / factor)

    return tuple(lowered(pair) for pair in range(head_dim // 2))
