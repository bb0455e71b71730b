"""Finds a vocabulary's special tokens in a text before it is split, as llama.cpp does.

Source: `llama_vocab::impl::load` and `tokenizer_st_partition` in llama.cpp's src/llama-vocab.cpp.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from shimmy_engine.gguf_header import GgufError

_TYPES: Final = frozenset({2, 3, 4})
"""Token types unknown, control and user-defined."""
ALWAYS_SPECIAL: Final = frozenset(
    {"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>"}
    | {"<EOT>", "_<EOT>", "<|end_of_text|>", "<end_of_utterance>"}
    | {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"}
)
"""Words that llama.cpp takes for special whatever type the file gives them."""
_BAR: Final = "\uff5c"
_MARK: Final = "\u2581"
_UNLESS_NAMED: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("eot",): (f"<{_BAR}end{_MARK}of{_MARK}sentence{_BAR}>", *sorted(ALWAYS_SPECIAL)),
    ("fim_pre", "prefix"): (
        *("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", f"<{_BAR}fim{_MARK}begin{_BAR}>"),
        *("<PRE>", f"{_MARK}<PRE>", "<|code_prefix|>"),
    ),
    ("fim_suf", "suffix"): (
        *("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", f"<{_BAR}fim{_MARK}hole{_BAR}>"),
        *("<SUF>", f"{_MARK}<SUF>", "<|code_suffix|>"),
    ),
    ("fim_mid", "middle"): (
        *("<|fim_middle|>", "<fim-middle>", "<fim_middle>", f"<{_BAR}fim{_MARK}end{_BAR}>"),
        *("<MID>", f"{_MARK}<MID>", "<|code_middle|>"),
    ),
    ("fim_pad",): ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>"),
    ("fim_rep",): ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"),
    ("fim_sep",): ("<|file_sep|>",),
}
"""Words of which llama.cpp makes one special where the file has no key `tokenizer.ggml.NAME_token_id`."""
_PHI3: Final = ("phi-3", "phi3")
_PHI3_KEEPS_SPACES: Final = frozenset({"<unk>", "<s>", "<|endoftext|>"})
_SPACES: Final = " \t\n\v\f\r"
"""What C's isspace finds."""


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """A token that stands in the text as such; `strips` when it swallows the spaces behind it."""

    text: str
    strips: bool


class SpecialTokens:
    """The special tokens of one vocabulary."""

    def __init__(self, metadata: dict[str, Any], tokens: list[str]) -> None:
        """`tokens` are the vocabulary's, in the order of their ids.

        Raises:
            GgufError: Unsupported, where llama.cpp cannot load the file or leaves open how it splits a text.
        """
        texts = _special_texts(metadata, tokens)
        _refuse_open_order(texts)
        name = str(metadata.get("general.name", "")).lower()
        phi3 = any(part in name for part in _PHI3)
        if phi3 and (missing := (_PHI3_KEEPS_SPACES | {"</s>"}).difference(tokens)):
            raise GgufError("Unsupported", f"llama.cpp loads no Phi-3 without the token {min(missing)!r}")
        longest_first = sorted(texts, key=lambda text: -len(text.encode()))
        self._tokens = [SpecialToken(text, phi3 and text not in _PHI3_KEEPS_SPACES) for text in longest_first]

    def partition(self, text: str) -> list[str | SpecialToken]:
        """The text in parts, none of them empty: special tokens, the longest found first, and what lies between."""
        parts: list[str | SpecialToken] = [text] if text else []
        for token in self._tokens:
            if token.text in text:
                parts = [piece for part in parts for piece in _cut(part, token)]
        return parts


def _special_texts(metadata: dict[str, Any], tokens: list[str]) -> set[str]:
    types = metadata.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    vocabulary = frozenset(tokens)
    special = {text for text, kind in zip(tokens, types, strict=True) if kind in _TYPES} | (ALWAYS_SPECIAL & vocabulary)
    for names, words in _UNLESS_NAMED.items():
        if any(f"tokenizer.ggml.{name}_token_id" in metadata for name in names):
            continue
        present = vocabulary.intersection(words)
        if len(present) > 1 and not present <= special:
            message = f"llama.cpp leaves open which of {', '.join(sorted(present))} is special"
            raise GgufError("Unsupported", f"{message}; the file needs a key tokenizer.ggml.{names[0]}_token_id")
        special |= present
    return special


def _refuse_open_order(texts: Collection[str]) -> None:
    """Refuse words of one length that can overlap: std::sort, by length alone, leaves open which is found first."""
    lengths: defaultdict[int, list[bytes]] = defaultdict(list)
    for text in texts:
        lengths[len(text.encode())].append(text.encode())
    for length, words in lengths.items():
        for overlap in range(1, length if len(words) > 1 else 0):
            starts = Counter(word[:overlap] for word in words)
            for word in words:
                if starts[word[-overlap:]] > (word[:overlap] == word[-overlap:]):
                    message = f"llama.cpp leaves open where {word.decode()!r} ends that overlaps with another"
                    raise GgufError("Unsupported", f"{message} special token of its length")


def _cut(part: str | SpecialToken, token: SpecialToken) -> Iterator[str | SpecialToken]:
    if isinstance(part, SpecialToken):
        yield part
        return
    start = 0
    while (found := part.find(token.text, start)) >= 0:
        if found > start:
            yield part[start:found]
        yield token
        start = found + len(token.text)
        while token.strips and start < len(part) and part[start] in _SPACES:
            start += 1
    if start < len(part):
        yield part[start:]
