"""Byte-level BPE vocabularies of GGUF files (`tokenizer.ggml.model` = "gpt2"), split as llama.cpp does.

Those whose pre-tokeniser is in the table below. The regular expressions are llama.cpp's (`llm_tokenizer_bpe` in
src/llama-vocab.cpp), which apply one after the other.
"""

from typing import Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

from shimmy_engine.gguf_header import GgufError

_GPT2: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_CASED: Final = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|"
_TAIL: Final = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLITS: Final[dict[str, tuple[str, ...]]] = {
    "gpt-2": (_GPT2,),
    "phi-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "starcoder": (r"\p{N}", _GPT2),
    "llama-bpe": (_CASED + r"\p{N}{1,3}" + _TAIL,),
    "falcon3": (_CASED + r"\p{N}{1,3}" + _TAIL,),
    "qwen2": (_CASED + r"\p{N}" + _TAIL,),
    "deepseek-r1-qwen": (_CASED + r"\p{N}" + _TAIL,),
}
_LLAMA3: Final = frozenset({"llama-bpe", "falcon3"})
"""Pre-tokenisers whose texts start with BOS by default and whose known words are not merged piece by piece."""
_SPECIAL: Final = frozenset({2, 3, 4})
"""Token types (unknown, control, user-defined) that are found in the text before it is split."""


class BpeVocabulary:
    """Counts the tokens of a rendered prompt, special tokens in it included."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        """Build from a GGUF file's metadata (0.1 s for 49,000 tokens).

        Raises:
            GgufError: Unsupported, where the counts could not be exact.
        """
        pre = metadata.get("tokenizer.ggml.pre", "")
        if pre not in _SPLITS:
            message = f"tokens of a vocabulary with pre-tokeniser {pre!r} cannot be counted here"
            raise GgufError("Unsupported", f"{message}; known are {', '.join(sorted(_SPLITS))}")
        for name in ("tokens", "merges"):
            if not metadata.get(f"tokenizer.ggml.{name}"):
                raise GgufError("Unsupported", f"the vocabulary has no {name}")
        tokens: list[str] = metadata["tokenizer.ggml.tokens"]
        merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
        vocabulary = {token: index for index, token in enumerate(tokens)}
        model = models.BPE(vocab=vocabulary, merges=merges, ignore_merges=pre in _LLAMA3)
        splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in _SPLITS[pre]]
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self._tokenizer = Tokenizer(model)
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, to_bytes])
        types = metadata.get("tokenizer.ggml.token_type", [])
        special = [t for t, its in zip(tokens, types, strict=False) if its in _SPECIAL]
        self._tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
        self._bos = int(bool(metadata.get("tokenizer.ggml.add_bos_token", pre in _LLAMA3)))

    def count(self, prompt: str) -> int:
        """Tokens that the model is fed for `prompt`, with the one that starts every text where there is one."""
        return len(self._tokenizer.encode(prompt, add_special_tokens=False).ids) + self._bos
