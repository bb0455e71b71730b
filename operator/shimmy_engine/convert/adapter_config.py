"""What a PEFT adapter_config.json says; what would change the result and is not done here is refused by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final, TypeVar

from shimmy_engine.gguf_header import GgufError

T = TypeVar("T")

_READ: Final = frozenset({"peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern"})
_HARMLESS: Final = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "exclude_modules",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "lora_dropout",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
        "target_modules",
        "task_type",
    }
)
"""About training, or told by the tensors' names as well. Source: `LoraConfig` of peft 0.21."""
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "bias": (None, "none"),
    "init_lora_weights": (None, True, False, "gaussian", "eva", "orthogonal"),
}
"""Others of these change the base's own weights at the start of a training (pissa, olora, loftq, corda)."""


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """Ranks and strengths. A pattern is the end of a module's name, or a regular expression for it."""

    rank: int
    alpha: float
    rank_stabilized: bool
    rank_pattern: tuple[tuple[str, int], ...]
    alpha_pattern: tuple[tuple[str, float], ...]

    def scale(self, module: str, rank: int) -> float:
        """What B A is multiplied with for a module, whose tensors have that rank.

        Raises:
            GgufError: Unsupported, where the tensors have another rank than the configuration.
        """
        wanted = _matching(self.rank_pattern, module, self.rank)
        if rank != wanted:
            raise GgufError("Unsupported", f"the adapter of {module} has rank {rank}, its configuration says {wanted}")
        alpha = _matching(self.alpha_pattern, module, self.alpha)
        return alpha / (sqrt(rank) if self.rank_stabilized else rank)


def parse_adapter_config(config: Mapping[str, Any]) -> AdapterConfig:
    """Read adapter_config.json.

    Raises:
        GgufError: Unsupported, naming what is not done here.
    """
    if config.get("peft_type") != "LORA":
        raise GgufError("Unsupported", f"adapters of type {config.get('peft_type')!r} are not supported; LORA is")
    for key, value in config.items():
        if key in _READ or key in _HARMLESS:
            continue
        if value and value not in _NEUTRAL.get(key, ()):
            raise GgufError("Unsupported", f"adapter_config.json: {key} {repr(value)[:100]} is not supported")
    try:
        return AdapterConfig(
            rank=int(config["r"]),
            alpha=float(config["lora_alpha"]),
            rank_stabilized=bool(config.get("use_rslora", False)),
            rank_pattern=tuple((str(k), int(v)) for k, v in (config.get("rank_pattern") or {}).items()),
            alpha_pattern=tuple((str(k), float(v)) for k, v in (config.get("alpha_pattern") or {}).items()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GgufError("Unsupported", f"adapter_config.json has no usable r or lora_alpha: {error}") from error


def _matching(patterns: tuple[tuple[str, T], ...], module: str, default: T) -> T:
    """Source: `get_pattern_key` in peft's utils/other.py."""
    return next((value for key, value in patterns if re.match(rf"(.*\.)?({key})$", module)), default)
