"""How much memory an engine pod needs."""

from math import isqrt
from typing import Final

_MI: Final = 1 << 20
_STEP: Final = 64 * _MI
_RUNNER: Final = 512 * _MI
"""The runner, its tokenizer, the Shimmy process without a model."""
_LONGEST_DEFAULT_CONTEXT: Final = 8192
"""Both lines of Shimmy cap the context at this unless told otherwise."""


def memory_need(size_bytes: int, parameters: int, context_length: int, wanted_context: int | None) -> int:
    """Memory of an engine pod in bytes: 512 Mi + 1.2 x file + context x 4 x sqrt(parameters).

    The file is memory-mapped and counts while it is read; a fifth more is scratch space. The last term estimates the
    key-value cache: models of 0.1 to 70 billion weights hold 45 to 1,000 KB per token of context in 32-bit floats,
    which grows with the square root of their weights. spec.engine.resources.memory overrides the estimate.
    """
    context = wanted_context or min(context_length or _LONGEST_DEFAULT_CONTEXT, _LONGEST_DEFAULT_CONTEXT)
    return _RUNNER + size_bytes * 6 // 5 + context * 4 * isqrt(parameters)


def memory_quantity(need: int) -> str:
    """Bytes as a Kubernetes quantity, rounded up to 64 Mi."""
    return f"{-(-need // _STEP) * _STEP // _MI}Mi"
