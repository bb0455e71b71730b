"""Token counts are exact: our tokeniser agrees with an independent one, that of Shimmy 2.6, on the same vocabulary."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests import spm_gguf
from tests.contract.running import Program, runner, shimmy

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


@pytest.fixture(scope="module")
def spm_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spm_gguf.write(tmp_path_factory.mktemp("spm") / "spm.gguf")


@pytest.fixture(scope="module")
def spm_airframe(real_airframe: Program, spm_file: Path) -> Iterator[httpx.Client]:
    with shimmy(replace(real_airframe, model=spm_file), spm_file.parent / "airframe") as client:
        yield client


@pytest.fixture(scope="module")
def spm_tokenizer(spm_file: Path) -> PromptTokenizer:
    return PromptTokenizer(read_header(spm_file).metadata)


def counted(client: httpx.Client, text: str, model: str = "") -> int:
    body = {"model": model or models.tiny().stem, "prompt": text, "raw_prompt": True, "max_tokens": 0, "stream": False}
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


@pytest.mark.parametrize("text", TEXTS)
def test_plain_texts_by_a_sentencepiece_vocabulary(
    spm_airframe: httpx.Client, spm_tokenizer: PromptTokenizer, text: str
) -> None:
    """As llama.cpp does it, which puts a space before any text; shimmytok 0.8.4 does so only where there is none."""
    spaced = f" {text}" if text.startswith(" ") else text
    assert spm_tokenizer.count(text) == counted(spm_airframe, spaced, "spm")


@pytest.mark.parametrize("family", ["chatml", "openchat"])
def test_rendered_conversations_by_a_sentencepiece_vocabulary(
    spm_airframe: httpx.Client, spm_tokenizer: PromptTokenizer, family: str
) -> None:
    for text in TEXTS:
        prompt = render_chat(family, (("system", "Be brief."), ("user", "a"), ("assistant", text), ("user", text)))  # type: ignore[arg-type]
        assert spm_tokenizer.count(prompt) == counted(spm_airframe, prompt, "spm"), text


def test_the_llama_line_answers_with_a_sentencepiece_vocabulary(
    real_llama: Program, spm_file: Path, spm_tokenizer: PromptTokenizer, tmp_path: Path
) -> None:
    with runner(replace(real_llama, model=spm_file), tmp_path) as running:
        answer = running.chat("What is the capital of France?", max_tokens=8, temperature=0)
    assert answer.status_code == 200, answer.text
    prompt = render_chat("openchat", (("user", "What is the capital of France?"),))
    assert answer.json()["usage"]["prompt_tokens"] == spm_tokenizer.count(prompt)
    assert 0 < answer.json()["usage"]["completion_tokens"] <= 8
