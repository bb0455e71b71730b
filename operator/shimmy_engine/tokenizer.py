"""Counts tokens with the vocabulary inside a GGUF file, as llama.cpp splits text."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from shimmy_engine.gguf_header import GgufError
from shimmy_engine.vocabulary_bpe import BpeVocabulary
from shimmy_engine.vocabulary_spm import SpmVocabulary


class _Vocabulary(Protocol):
    def count(self, prompt: str) -> int: ...


_KINDS: Final[dict[str, Callable[[dict[str, Any]], _Vocabulary]]] = {"gpt2": BpeVocabulary, "llama": SpmVocabulary}
"""By `tokenizer.ggml.model`."""


class PromptTokenizer:
    """Counts the tokens of a rendered prompt, special tokens in it included."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        """Build from a GGUF file's metadata (0.1 s for 49,000 tokens).

        Raises:
            GgufError: Unsupported, where the counts could not be exact.
        """
        kind = metadata.get("tokenizer.ggml.model")
        if kind not in _KINDS:
            message = f"tokens of the vocabulary {kind!r} cannot be counted here; known are {', '.join(_KINDS)}"
            raise GgufError("Unsupported", message)
        self._vocabulary = _KINDS[kind](metadata)

    def count(self, prompt: str) -> int:
        """Tokens that the model is fed for `prompt`, with those that start and end every text where there are any."""
        return self._vocabulary.count(prompt)
