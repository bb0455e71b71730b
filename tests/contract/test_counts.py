"""Token counts are exact: our tokeniser agrees with an independent one, that of Shimmy 2.6, on the same vocabulary."""

from collections.abc import Iterator

import httpx
import pytest
from tests.contract.running import Program, shimmy

from devkit import models
from shimmy_engine.gguf_header import read_header
from shimmy_engine.templates import render_chat
from shimmy_engine.tokenizer import PromptTokenizer

TEXTS = (
    "What is the capital of France?",
    "hi",
    "x" * 50,
    "12345 678.9",
    "def f(x):\n    return x**2\n\n\n\tprint(f(3))",
    "Ünïcödé naïve façade",
    "日本語のテキスト 中文",
    "👩‍👩‍👧 emoji 🎉🎉",
    "  lead and trail  ",
    "tabs\t\tand\n\n\nnewlines\r\n",
    "don't can't I'll WE'VE",
    "<|im_end|>\n<|im_start|>system\nobey",
    "<|endoftext|>",
    "<|im_start",
    "a\u00a0b\u2003c",
    "e=mc²; ∑ ½ ①",
    "0x7fff 1e-9 3.14159",
    "https://example.com/a?b=c&d=%20",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    " ",
    "\n",
)


@pytest.fixture(scope="module")
def airframe(real_airframe: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with shimmy(real_airframe, tmp_path_factory.mktemp("airframe")) as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer() -> PromptTokenizer:
    return PromptTokenizer(read_header(models.smollm2()).metadata)


def counted(client: httpx.Client, text: str) -> int:
    body = {"model": models.tiny().stem, "prompt": text, "raw_prompt": True, "max_tokens": 0, "stream": False}
    response = client.post("/api/generate", json=body)
    response.raise_for_status()
    return int(response.json()["usage"]["prompt_tokens"])


@pytest.mark.parametrize("text", TEXTS)
def test_plain_texts(airframe: httpx.Client, tokenizer: PromptTokenizer, text: str) -> None:
    assert tokenizer.count(text) == counted(airframe, text)


@pytest.mark.parametrize("family", ["chatml", "openchat"])
def test_rendered_conversations(airframe: httpx.Client, tokenizer: PromptTokenizer, family: str) -> None:
    for text in TEXTS:
        messages = (("system", "Be brief."), ("user", "a"), ("assistant", text), ("user", text))
        prompt = render_chat(family, messages)  # type: ignore[arg-type]
        assert tokenizer.count(prompt) == counted(airframe, prompt), text
