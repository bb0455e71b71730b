import json
from typing import Any

import pytest
from ollama import ChatResponse, GenerateResponse, ListResponse, ProcessResponse, ShowResponse

from shimmy_api.errors import ENGINE_FAILED
from shimmy_engine.model_card import ModelCard
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.results import Result, Usage
from shimmy_engine.surfaces import ollama
from shimmy_engine.surfaces.shape import Ask, Head, Immediate

CARD = ModelCard("m", 7, 2048, 1000, "ab" * 32, "llama", "Q4_1", 134_515_008)
HEAD = Head("1", 7, "m")
RESULT = Result("stop", Usage(3, 2), None, 0.5, 0.25, 1.0)


def chatted(**changes: Any) -> Ask | Immediate:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    return ollama.parse_chat(json.dumps(body | changes).encode())


def generated(**changes: Any) -> Ask | Immediate:
    return ollama.parse_generate(json.dumps({"model": "m", "prompt": "hi"} | changes).encode())


def generation(asked: Ask | Immediate) -> Generation:
    assert isinstance(asked, Ask)
    return asked.generation


def test_streams_unless_told_otherwise() -> None:
    assert generation(chatted()) == Generation(messages=(("user", "hi"),), model="m", stream=True)
    assert not generation(chatted(stream=False)).stream


def test_the_tag_that_clients_add_is_taken_off() -> None:
    assert generation(chatted(model="m:latest")).model == "m"
    assert generation(chatted(model="m:7b")).model == "m:7b"
    assert generation(chatted(model=None, name="m:latest")).model == "m"
    assert ollama.parse_show(b'{"name": "m:latest"}') == "m"


def test_options_are_taken_over() -> None:
    options = {"num_predict": 5, "temperature": 0.5, "top_p": 0.5, "seed": 7, "stop": ["a"], "num_ctx": 2048}
    given = generation(chatted(options=options))
    assert (given.max_tokens, given.temperature, given.top_p, given.seed, given.stop) == (5, 0.5, 0.5, 7, ("a",))
    assert given.context == 2048
    assert generation(chatted(options={"num_predict": -1, "top_k": None})).max_tokens is None


def test_a_prompt_is_a_users_message_unless_it_is_raw() -> None:
    assert generation(generated(system="s")).messages == (("system", "s"), ("user", "hi"))
    assert generation(generated(raw=True)) == Generation(prompt="hi", model="m", stream=True)


@pytest.mark.parametrize("asked", [chatted(messages=[]), generated(prompt="")])
def test_without_a_prompt_the_model_is_loaded(asked: Ask | Immediate) -> None:
    assert isinstance(asked, Immediate)
    answer = json.loads(asked.body(HEAD))
    assert (answer["model"], answer["done"], answer["done_reason"]) == ("m", True, "load")


@pytest.mark.parametrize(
    "changes",
    [{"keep_alive": "5m", "format": "", "tools": [], "think": False}, {"options": {"presence_penalty": 0}}],
)
def test_parameters_that_change_nothing_are_accepted(changes: dict[str, Any]) -> None:
    assert generation(chatted(**changes)) == generation(chatted())


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"format": "json"}, "format"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"think": True}, "think"),
        ({"options": {"top_k": 5}}, "options.top_k"),
        ({"options": {"repeat_penalty": 1.1}}, "options.repeat_penalty"),
        ({"options": {"num_predict": 0}}, "options.num_predict"),
        ({"messages": [{"role": "user", "content": "a", "images": ["x"]}]}, "messages.0.images"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"),
    ],
)
def test_what_would_be_ignored_is_refused_by_name(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusedError) as caught:
        chatted(**changes)
    assert caught.value.error.status == 400
    assert (caught.value.error.param or "").startswith(param)


@pytest.mark.parametrize("name", ["template", "suffix"])
def test_what_only_generate_has_is_refused_by_name(name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        generated(**{name: "x"})
    assert caught.value.error.param == name
    with pytest.raises(RefusedError) as caught:
        generated(raw=True, system="x")
    assert caught.value.error.param == "system"


def test_the_last_object_has_counts_and_times_in_nanoseconds() -> None:
    asked = chatted()
    assert isinstance(asked, Ask)
    shape = asked.shape(HEAD)
    answer = ChatResponse.model_validate_json(shape.last(RESULT))
    assert (answer.done, answer.done_reason, answer.message.content) == (True, "stop", "")
    assert (answer.prompt_eval_count, answer.eval_count) == (3, 2)
    assert (answer.total_duration, answer.load_duration) == (1_750_000_000, 0)
    assert (answer.prompt_eval_duration, answer.eval_duration) == (250_000_000, 1_000_000_000)
    whole = ChatResponse.model_validate_json(shape.whole("Hello", RESULT))
    assert (whole.message.content, whole.done, whole.eval_count) == ("Hello", True, 2)


def test_a_line_is_never_broken_by_its_text() -> None:
    asked = generated()
    assert isinstance(asked, Ask)
    line = asked.shape(HEAD).piece("a\nb\u2028c\u0085☃")
    assert len(line.decode().splitlines()) == 1
    answer = GenerateResponse.model_validate_json(line)
    assert (answer.response, answer.done) == ("a\nb\u2028c\u0085☃", False)


def test_a_failure_is_a_line_with_the_error() -> None:
    asked = generated()
    assert isinstance(asked, Ask)
    assert json.loads(asked.shape(HEAD).failure(ENGINE_FAILED)) == {
        "error": ENGINE_FAILED.message,
        "code": "engine_failed",
    }


def test_lists_are_what_ollamas_client_expects() -> None:
    (listed,) = ListResponse.model_validate(ollama.tags(CARD)).models
    assert (listed.model, listed.size, listed.digest) == ("m", 1000, "ab" * 32)
    assert listed.details is not None
    assert (listed.details.family, listed.details.parameter_size) == ("llama", "134.5M")
    assert listed.details.quantization_level == "Q4_1"
    (running,) = ProcessResponse.model_validate(ollama.running(CARD, ready=True)).models
    assert (running.name, running.context_length) == ("m", 2048)
    assert ollama.running(CARD, ready=False) == {"models": []}
    shown = ShowResponse.model_validate(ollama.show(CARD))
    assert shown.modelinfo == {
        "general.architecture": "llama",
        "general.parameter_count": 134_515_008,
        "llama.context_length": 2048,
    }
