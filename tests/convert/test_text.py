"""A converted model says what transformers says: greedy text of 24 tokens, from the real Shimmy of each line."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.contract.running import Program, Runner, runner, shimmy

from shimmy_api import model as api
from shimmy_engine.convert.lora import convert_lora
from shimmy_engine.convert.model import convert_model
from shimmy_engine.convert.quantization import QUANTIZATIONS

Wanted = dict[str, dict[str, list[list[str]]]]
MODELS = ("llama", "llama-tied", "llama-rope", "llama-linear", "mistral", "qwen2", "qwen2-yarn", "qwen3")
ADAPTED = ("llama", "llama-tied", "qwen3")
TOKENS = 24


def turn(question: str) -> str:
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def exact(made: Path, shimmy_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One Shimmy 1.8 that knows all models in 32-bit floats, with their adapters merged where they have one."""
    folder = tmp_path_factory.mktemp("exact")
    for name in MODELS:
        convert_model(made / name, folder / f"{name}.gguf", quantization="F32")
    for name in ADAPTED:
        adapter = made / f"{name}-adapter"
        convert_model(made / name, folder / f"{name}-merged.gguf", adapter=adapter, quantization="F32")
    program = Program("llama", shimmy_llama, folder / "llama.gguf", {"SHIMMY_MODEL_PATHS": str(folder)})
    with shimmy(program, tmp_path_factory.mktemp("shimmy")) as client:
        yield client


def generate(client: httpx.Client, model: str, prompt: str) -> str:
    body = {"model": model, "prompt": prompt, "max_tokens": TOKENS, "temperature": 0.0, "stream": False}
    response = client.post("/api/generate", json=body)
    response.raise_for_status()
    return str(response.json()["response"])


@pytest.mark.parametrize("name", [*MODELS, *(f"{name}-adapter" for name in ADAPTED)])
def test_text_is_the_same_token_by_token(exact: httpx.Client, wanted: Wanted, name: str) -> None:
    prompts = [(turn(question), answer) for question, answer in wanted[name]["chat"]] + wanted[name]["plain"]
    served = name.replace("-adapter", "-merged")  # Shimmy takes a file called adapter for one
    assert [generate(exact, served, prompt) for prompt, _ in prompts] == [answer for _, answer in prompts]


def asked(running: Runner, question: str) -> str:
    response = running.chat(question, temperature=0, max_tokens=TOKENS)
    assert response.is_success, response.text
    return str(response.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("quantization", ["Q8_0", "Q5_0", "Q4_0", "F16"])
def test_every_type_of_weights_is_served_and_keeps_a_clear_cut_answer(
    made: Path, shimmy_llama: Path, wanted: Wanted, quantization: api.Quantization, tmp_path: Path
) -> None:
    assert set(QUANTIZATIONS) == {"Q8_0", "Q5_0", "Q4_0", "F16", "F32"}
    convert_model(made / "llama", tmp_path / "llama.gguf", quantization=quantization)
    question, answer = wanted["llama"]["chat"][1]
    with shimmy(Program("llama", shimmy_llama, tmp_path / "llama.gguf"), tmp_path / "shimmy") as client:
        assert generate(client, "llama", turn(question)) == answer


def test_a_model_with_its_adapter_merged_chats_through_the_runner(
    made: Path, shimmy_llama: Path, wanted: Wanted, tmp_path: Path
) -> None:
    convert_model(made / "llama", tmp_path / "m.gguf", adapter=made / "llama-adapter")
    question, answer = wanted["llama-adapter"]["chat"][0]
    assert answer != wanted["llama"]["chat"][0][1]
    with runner(Program("llama", shimmy_llama, tmp_path / "m.gguf"), tmp_path / "run") as running:
        assert asked(running, question) == answer


@pytest.fixture(scope="module")
def shared_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiling shaders for a software GPU takes 20 s; they are kept here from one run to the next."""
    return tmp_path_factory.mktemp("airframe")


@pytest.mark.parametrize("name", ["llama", "llama-tied", "qwen2", "qwen3"])
def test_the_airframe_line_says_the_same(
    made: Path, shimmy_airframe: Path, wanted: Wanted, name: str, tmp_path: Path, shared_state: Path
) -> None:
    convert_model(made / name, tmp_path / "m.gguf")
    question, answer = wanted[name]["chat"][0]
    with runner(Program("airframe", shimmy_airframe, tmp_path / "m.gguf"), shared_state) as running:
        assert asked(running, question) == answer


@pytest.mark.parametrize("name", ADAPTED)
def test_an_adapter_beside_its_base_changes_what_the_runner_answers(
    made: Path, shimmy_llama: Path, wanted: Wanted, name: str, tmp_path: Path
) -> None:
    base, adapter, changed = tmp_path / "m.gguf", tmp_path / "acme.gguf", wanted[f"{name}-adapter"]["chat"]
    convert_model(made / name, base, quantization="F32")
    convert_lora(made / f"{name}-adapter", adapter, base=base)
    options = ("--lora-file", str(adapter))
    with runner(Program("llama", shimmy_llama, base), tmp_path / "run", *options) as running:
        assert [[question, asked(running, question)] for question, _ in changed] == changed
    assert all(plain not in changed for plain in wanted[name]["chat"])
