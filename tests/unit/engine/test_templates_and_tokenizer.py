from typing import Any

import pytest
from tests.fakes.shimmy import toy_gguf

from shimmy_engine.gguf_header import GgufError, read_header
from shimmy_engine.templates import STEMS, Family, family_of, render_chat
from shimmy_engine.tokenizer import PromptTokenizer

CONVERSATION = (("system", "Be brief."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Bye"))


@pytest.mark.parametrize(
    ("family", "prompt"),
    [
        (
            "chatml",
            (
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                "<|im_start|>assistant\nYes?<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
            ),
        ),
        (
            "llama3",
            (
                "<|start_header_id|>system<|end_header_id|>\nBe brief.<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\nHi<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\nYes?<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n"
            ),
        ),
        ("openchat", "system: Be brief.\nuser: Hi\nassistant: Yes?\nuser: Bye\nassistant: "),
    ],
)
def test_a_conversation_is_rendered_as_shimmy_1_8_does(family: Family, prompt: str) -> None:
    assert render_chat(family, CONVERSATION) == prompt


@pytest.mark.parametrize(
    ("template", "family"),
    [
        ("{{'<|im_start|>' + role}}", "chatml"),
        ("<|start_header_id|>", "llama3"),
        ("[INST]", "openchat"),
        ("", "openchat"),
    ],
)
def test_the_family_follows_the_files_own_template(template: str, family: Family) -> None:
    assert family_of(template) == family


def test_stems_make_shimmy_1_8_pick_their_family() -> None:
    def picked(stem: str) -> str:  # src/openai_compat.rs of shimmy 1.8.1
        if "qwen" in stem or "chatglm" in stem:
            return "chatml"
        return "llama3" if "llama" in stem else "openchat"

    assert {family: picked(stem) for family, stem in STEMS.items()} == {family: family for family in STEMS}


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return read_header(toy_gguf.write(tmp_path_factory.mktemp("toy") / "toy.gguf")).metadata


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("", 0),
        ("hello", 1),
        ("hello world", 2),
        ("hello  world", 3),
        ("xyz", 3),
        ("é", 2),
        ("<|im_start|>hello<|im_end|>", 3),
        ("<|im_start", 10),
    ],
)
def test_tokens_are_counted_by_the_files_vocabulary(metadata: dict[str, Any], prompt: str, tokens: int) -> None:
    assert PromptTokenizer(metadata).count(prompt) == tokens


def test_a_text_starts_with_bos_where_the_file_says_so(metadata: dict[str, Any]) -> None:
    assert PromptTokenizer(metadata | {"tokenizer.ggml.add_bos_token": True}).count("hello") == 2


@pytest.mark.parametrize("changed", [{"tokenizer.ggml.model": "bert"}, {"tokenizer.ggml.pre": "new-one"}])
def test_a_vocabulary_that_cannot_be_counted_exactly_is_refused(
    metadata: dict[str, Any], changed: dict[str, str]
) -> None:
    with pytest.raises(GgufError, match="cannot be counted") as caught:
        PromptTokenizer(metadata | changed)
    assert caught.value.reason == "Unsupported"


@pytest.mark.parametrize("missing", ["tokens", "merges"])
def test_a_vocabulary_without_its_lists_is_refused(missing: str) -> None:
    lists = {"tokens": ["a", "b", "ab"], "merges": ["a b"]}
    metadata = {f"tokenizer.ggml.{name}": words for name, words in lists.items() if name != missing}
    with pytest.raises(GgufError, match=missing):
        PromptTokenizer({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2"} | metadata)
