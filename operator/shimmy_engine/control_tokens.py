"""Keeps the text of a message text: nobody ends a turn or speaks as another role by writing a control token.

Both lines look for a vocabulary's control tokens in the whole rendered prompt, the users' words included. A word joiner
(U+2060, which has no width) after the first character makes an ordinary text of such a word.
"""

import re
from dataclasses import replace
from typing import Any, Final

from shimmy_engine.requests import Generation
from shimmy_engine.special_tokens import ALWAYS_SPECIAL

_JOINER: Final = "\u2060"
_CONTROL: Final = frozenset({2, 3})
"""Token types unknown and control (`llama_token_type` in llama.cpp's include/llama.h)."""
_USER_DEFINED: Final = 4
_MARKUP: Final = re.compile(r"^(<.+>|\[.+\])$", re.DOTALL)
_TEMPLATES: Final = ("<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
"""Words of the chat templates of Shimmy 1.8, which it uses whether the vocabulary has them or not."""


class Neutraliser:
    """Knows the control tokens of one vocabulary."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        """`metadata` is that of the GGUF file."""
        tokens = metadata.get("tokenizer.ggml.tokens", [])
        types = metadata.get("tokenizer.ggml.token_type", [])
        words = {
            token
            for token, kind in zip(tokens, types, strict=False)
            if len(token) > 1 and (kind in _CONTROL or (kind == _USER_DEFINED and _MARKUP.match(token)))
        }
        words |= ALWAYS_SPECIAL | set(_TEMPLATES)
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """The text without any control token."""
        while self._pattern.search(text):  # taking one apart may leave another that overlapped with it
            text = self._pattern.sub(lambda found: found[0][0] + _JOINER + found[0][1:], text)
        return text

    def apply(self, generation: Generation) -> Generation:
        """The same conversation, with every message as text. A raw prompt is its caller's alone and stays as it is."""
        messages = tuple((role, self.text(content)) for role, content in generation.messages)
        return generation if messages == generation.messages else replace(generation, messages=messages)
