"""SentencePiece vocabularies are counted as llama.cpp splits by them."""

import heapq
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import spm_gguf

from shimmy_engine.gguf_header import GgufError
from shimmy_engine.tokenizer import PromptTokenizer

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
TEXTS = st.text(st.one_of(st.sampled_from("ab \u2581\n<>0x4日"), st.characters(codec="utf-8")))
WORDS = st.text(st.sampled_from("ab\u2581日\n"), min_size=1, max_size=4)


def split(scores: dict[str, float], text: str) -> list[str]:
    """`llm_tokenizer_spm` of llama.cpp's src/llama-vocab.cpp for one fragment: a queue of neighbours by score."""
    symbols = list(text.replace(" ", "\u2581"))
    before, after = list(range(-1, len(symbols) - 1)), [*range(1, len(symbols)), -1]
    queue: list[tuple[float, int, int, int]] = []

    def offer(left: int, right: int) -> None:
        joined = symbols[left] + symbols[right] if left >= 0 and right >= 0 else ""
        if joined in scores:
            heapq.heappush(queue, (-scores[joined], left, right, len(joined.encode())))

    for index in range(1, len(symbols)):
        offer(index - 1, index)
    while queue:
        _, left, right, size = heapq.heappop(queue)
        if not symbols[left] or not symbols[right] or len((symbols[left] + symbols[right]).encode()) != size:
            continue
        symbols[left], symbols[right] = symbols[left] + symbols[right], ""
        after[left] = after[right]
        if after[right] >= 0:
            before[after[right]] = left
        offer(before[left], left)
        offer(left, after[left])
    units = ([symbol] if symbol in scores else [BYTES[byte] for byte in symbol.encode()] for symbol in symbols)
    return list(chain.from_iterable(units))


def tokenizer(**changed: Any) -> PromptTokenizer:
    return PromptTokenizer(spm_gguf.metadata(**changed))


def crafted(words: dict[str, float], **changed: Any) -> PromptTokenizer:
    """A vocabulary of these words with their scores, and the bytes."""
    tokens = dict.fromkeys(("<unk>", "<s>", "</s>", *BYTES), 0.0) | words
    types = [2, 3, 3, *[6] * 256, *[1] * (len(tokens) - 259)]
    keys = {"tokens": list(tokens), "scores": list(tokens.values()), "token_type": types} | changed
    return tokenizer(**keys)


@given(TEXTS)
def test_a_trained_vocabulary_is_split_as_by_llama_cpp(text: str) -> None:
    tokens, scores, types = spm_gguf.vocabulary()
    special = [token for token, kind in zip(tokens, types, strict=True) if kind in {2, 3}]
    if not any(token in text for token in special):
        known = dict(zip(tokens, scores, strict=True))
        assert tokenizer().count(text) == 1 + (len(split(known, " " + text)) if text else 0)


@given(st.dictionaries(WORDS, st.sampled_from([-1.0, -2.0, -2.5, 0.0]), max_size=12), TEXTS)
def test_any_vocabulary_is_split_as_by_llama_cpp(words: dict[str, float], text: str) -> None:
    counted = crafted(words, add_bos_token=False, add_space_prefix=False)
    if not any(token in text for token in ("<unk>", "<s>", "</s>")):
        assert counted.count(text) == len(split(dict.fromkeys(BYTES, 0.0) | words, text))


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("", 1),
        ("ab", 3),  # start, the space before it, ab
        (" ab", 4),  # that space comes on top of the text's own
        ("c", 3),
        ("日", 5),
        ("<s>", 2),
        ("<s>ab</s>ab", 7),  # a text behind a special token begins with a space again
        ("ab\nab", 5),
    ],
)
def test_tokens_are_counted_by_the_files_vocabulary(prompt: str, tokens: int) -> None:
    assert crafted({"\u2581": -9, "a": -9, "b": -9, "ab": -1}).count(prompt) == tokens


@pytest.mark.parametrize(
    ("changed", "tokens"),
    [
        ({"add_bos_token": False}, 2),
        ({"add_eos_token": True}, 4),
        ({"add_space_prefix": False}, 2),
        ({"remove_extra_whitespaces": True}, 3),
    ],
)
def test_the_files_switches_count(changed: dict[str, bool], tokens: int) -> None:
    assert crafted({"\u2581": -9, "ab": -1}, **changed).count("ab") == tokens


def test_of_equal_scores_the_leftmost_joins_first() -> None:
    words = {"a": 0.0, "aa": -1.0, "aaa": -1.0, "b": 0.0, "aab": -3.0}
    counted = crafted(words, add_bos_token=False, add_space_prefix=False)
    assert counted.count("aaaab") == 3  # aaa, a, b: had "a" and "aa" joined from the right, it were 2


def test_a_word_that_llama_cpp_takes_for_special_is_one_token_whatever_its_type() -> None:
    counted = crafted({"<|im_end|>": 0.0}, add_bos_token=False, add_space_prefix=False)
    assert counted.count("<|im_end|>") == 1


def test_the_longest_special_token_is_found_first() -> None:
    words = {"[x": 0.0, "x]y]": 0.0}
    types = [2, 3, 3, *[6] * 256, 3, 4]
    counted = crafted(words, token_type=types, add_bos_token=False, add_space_prefix=False)
    assert counted.count("[x]y]") == 2


def test_special_tokens_of_phi_3_swallow_the_spaces_behind_them() -> None:
    tokens = [*("<unk>", "<s>", "</s>", "<|endoftext|>", "<|user|>"), *BYTES, "\u2581"]
    types = [2, 3, 3, 3, 3, *[6] * 256, 1]
    keys = spm_gguf.metadata(tokens=tokens, scores=[0.0] * len(tokens), token_type=types, add_space_prefix=False)
    assert PromptTokenizer(keys).count("<|user|> \n<s> \n") == 7
    assert PromptTokenizer(keys | {"general.name": "Phi-3 mini"}).count("<|user|> \n<s> \n") == 5


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"scores": [0.0]}, "1 scores"),
        ({"tokens": [], "scores": [], "token_type": []}, "lacks '<0x00>'"),
        ({"general.name": "phi3"}, "Phi-3"),
    ],
)
def test_a_vocabulary_that_llama_cpp_fails_on_is_refused(changed: dict[str, Any], part: str) -> None:
    named = {key: changed[key] for key in changed if "." in key}
    plain = {key: changed[key] for key in changed if "." not in key}
    tokens = [token for token in spm_gguf.vocabulary()[0] if token != "<|endoftext|>"]
    size = {"tokens": tokens, "scores": [0.0] * len(tokens), "token_type": [1] * len(tokens)}
    with pytest.raises(GgufError, match=part) as caught:
        PromptTokenizer(spm_gguf.metadata(**(size | plain)) | named)
    assert caught.value.reason == "Unsupported"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ({"0x41>": 0.0}, "spell '<0x41>'"),
        ({"<PRE>": 0.0, "<fim_prefix>": 0.0}, "which of <PRE>, <fim_prefix>"),
    ],
)
def test_a_vocabulary_that_leaves_its_splits_open_is_refused(words: dict[str, float], part: str) -> None:
    with pytest.raises(GgufError, match=part):
        crafted(words)


def test_special_tokens_of_one_length_that_overlap_are_refused() -> None:
    with pytest.raises(GgufError, match="overlaps"):
        crafted({"[a[": 0.0, "[b[": 0.0}, token_type=[2, 3, 3, *[6] * 256, 4, 4])


def test_a_token_that_is_there_twice_is_refused() -> None:
    tokens, scores, types = spm_gguf.vocabulary()
    with pytest.raises(GgufError, match="twice"):
        tokenizer(tokens=[*tokens, tokens[-1]], scores=[*scores, 0.0], token_type=[*types, 1])
