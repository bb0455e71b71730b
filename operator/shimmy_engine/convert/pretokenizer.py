"""Recognises how a tokenizer.json splits text, by llama.cpp's name for it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shimmy_engine.gguf_header import GgufError

_WORDS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_TAIL: Final = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_DIGIT: Final = "one digit"
_GPT2: Final = "GPT-2's words"
_SPLITS: Final[dict[tuple[str, ...], str]] = {
    (_GPT2,): "gpt-2",
    (_DIGIT, _GPT2): "smollm",
    (_WORDS + r"\p{N}{1,3}" + _TAIL,): "llama-bpe",
    (_WORDS + r"\p{N}" + _TAIL,): "qwen2",
}
_KNOWN_WORDS_WHOLE: Final = frozenset({"llama-bpe"})
"""With these llama.cpp never merges a word piece by piece that is in the vocabulary (ignore_merges)."""


def recognise(tokenizer: Mapping[str, Any]) -> str:
    """The value of tokenizer.ggml.pre for the content of a tokenizer.json.

    Raises:
        GgufError: Unsupported, with what there is in its place.
    """
    model = tokenizer.get("model") or {}
    if model.get("type") != "BPE":
        raise GgufError("Unsupported", f"tokenizer.json: a vocabulary of type {model.get('type')!r} cannot be counted")
    for key in ("byte_fallback", "continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(key):
            raise GgufError(
                "Unsupported", f"tokenizer.json: {key} is not supported (SentencePiece vocabularies have it)"
            )
    normalizer = tokenizer.get("normalizer")
    if normalizer is not None and normalizer.get("type") != "NFC":  # llama.cpp takes the text as it is
        raise GgufError("Unsupported", f"tokenizer.json: normalizer {normalizer.get('type')!r} is not supported")
    steps = tuple(_steps(tokenizer.get("pre_tokenizer") or {}))
    name = _SPLITS.get(steps)
    if name is None:
        shown = "; ".join(steps) or "nothing"
        raise GgufError("Unsupported", f"tokenizer.json: the engines cannot split text as it does ({shown[:400]})")
    if bool(model.get("ignore_merges", False)) != (name in _KNOWN_WORDS_WHOLE):
        raise GgufError("Unsupported", f"tokenizer.json: ignore_merges is not what {name} vocabularies have")
    return name


def _steps(part: Mapping[str, Any]) -> Iterator[str]:
    match part:
        case {"type": "Sequence", "pretokenizers": [*parts]}:
            for inner in parts:
                yield from _steps(inner)
        case {"type": "Digits", "individual_digits": True}:
            yield _DIGIT
        case {"type": "Split", "pattern": {"Regex": str(regex)}, "behavior": "Isolated", "invert": False}:
            yield regex
        case {"type": "ByteLevel", "add_prefix_space": False, **rest}:
            if rest.get("use_regex", True):
                yield _GPT2
        case _:
            yield str(part.get("type", "none"))
