"""The clients that users have, as they are, against the router, the runner and the fake of Shimmy."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import ollama
import openai
import pytest
from tests.contract.ws import connect
from tests.dataplane.conftest import Fleet
from tests.dataplane.plane import key_of

UNKNOWN = "sk-shimmy-unknown0-00000000000000000000000000000000"
TEXT = "What is the capital of France?"
MESSAGES: Any = [{"role": "user", "content": TEXT}]


@dataclass(frozen=True)
class Clients:
    """All of them, with one key."""

    openai: openai.OpenAI
    anthropic: anthropic.Anthropic
    ollama: ollama.Client


@pytest.fixture
def clients(fleet: Fleet) -> Iterator[Clients]:
    yield from of(fleet, key_of("a"))


@pytest.fixture
def strangers(fleet: Fleet) -> Iterator[Clients]:
    yield from of(fleet, UNKNOWN)


@pytest.fixture
def others(fleet: Fleet) -> Iterator[Clients]:
    """Of tenant b, whose model `cold` has no pod."""
    yield from of(fleet, key_of("b"))


def of(fleet: Fleet, key: str) -> Iterator[Clients]:
    url, bearer = fleet.plane.url, {"authorization": f"Bearer {key}"}
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as of_openai,
        anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as of_anthropic,
        ollama.Client(host=url, headers=bearer, trust_env=False) as of_ollama,
    ):
        yield Clients(of_openai, of_anthropic, of_ollama)


def test_openai_chat_whole_and_streamed(clients: Clients) -> None:
    chat = clients.openai.chat.completions
    whole = chat.create(model="gpt", messages=MESSAGES, max_tokens=6, temperature=0)
    assert whole.choices[0].message.content
    assert (whole.model, whole.usage and whole.usage.completion_tokens) == ("m", 6)
    with chat.create(model="m", messages=MESSAGES, max_tokens=6, temperature=0, stream=True) as stream:
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content


def test_openai_completion_and_response(clients: Clients) -> None:
    completion = clients.openai.completions.create(model="m", prompt=TEXT, max_tokens=4)
    assert completion.choices[0].text
    response = clients.openai.responses.create(model="m", input=TEXT, max_output_tokens=16)
    assert response.output_text
    events = list(clients.openai.responses.create(model="m", input=TEXT, max_output_tokens=16, stream=True))
    assert events[-1].type in ("response.completed", "response.incomplete")


def test_openai_models(clients: Clients) -> None:
    assert [model.id for model in clients.openai.models.list()] == ["gpt", "m"]
    assert clients.openai.models.retrieve("gpt").owned_by == "a"
    with pytest.raises(openai.NotFoundError):
        clients.openai.models.retrieve("own")


def test_anthropic_message_whole_and_streamed(clients: Clients) -> None:
    asked: Any = {"model": "m", "max_tokens": 6, "messages": MESSAGES, "extra_body": {"temperature": 0}}
    whole = clients.anthropic.messages.create(**asked)
    (block,) = whole.content
    assert block.type == "text"
    assert block.text
    assert whole._request_id
    with clients.anthropic.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == block.text
        assert stream.get_final_message().usage == whole.usage


def test_anthropic_count_and_models(clients: Clients) -> None:
    counted = clients.anthropic.messages.count_tokens(model="m", messages=MESSAGES)
    used = clients.anthropic.messages.create(model="m", max_tokens=2, messages=MESSAGES).usage
    assert counted.input_tokens == used.input_tokens
    assert [model.id for model in clients.anthropic.models.list()] == ["gpt", "m"]
    assert clients.anthropic.models.retrieve("m").display_name == "m"
    with pytest.raises(anthropic.NotFoundError) as caught:
        clients.anthropic.models.retrieve("own")
    assert (caught.value.type, caught.value.error_code) == ("not_found_error", "model_not_found")


def test_ollama_chat_and_generate_whole_and_streamed(clients: Clients) -> None:
    brief: Any = {"num_predict": 6, "temperature": 0}
    whole = clients.ollama.chat(model="m:latest", messages=MESSAGES, options=brief)
    assert whole.message.content
    *parts, last = clients.ollama.chat(model="m", messages=MESSAGES, options=brief, stream=True)
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert last.eval_count == whole.eval_count
    assert clients.ollama.generate(model="gpt", prompt=TEXT, options=brief).response
    assert list(clients.ollama.generate(model="m", prompt=TEXT, options=brief, stream=True))[-1].done


def test_ollama_lists(clients: Clients) -> None:
    assert [model.model for model in clients.ollama.list().models] == ["gpt", "m"]
    assert [model.model for model in clients.ollama.ps().models] == ["gpt", "m"]
    assert clients.ollama.show("m").details


def test_a_websocket(fleet: Fleet) -> None:
    with connect(f"{fleet.plane.url}/ws/generate?model=m", {"x-api-key": key_of("a")}) as socket:
        socket.send({"prompt": TEXT, "max_tokens": 6})
        *texts, last = socket.rest()
    assert "".join(texts)
    assert json.loads(last)["usage"]["completion_tokens"] == 6


def test_shimmys_events(fleet: Fleet) -> None:
    with fleet.plane.client(key_of("a")) as client:
        body = {"model": "m", "prompt": TEXT, "max_tokens": 6}
        response = client.post("/api/generate", json=body, headers={"accept": "text/event-stream"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")


def test_each_client_knows_that_its_key_is_wrong(strangers: Clients) -> None:
    with pytest.raises(openai.AuthenticationError) as of_openai:
        strangers.openai.models.list()
    assert of_openai.value.code == "invalid_api_key"
    with pytest.raises(anthropic.AuthenticationError) as of_anthropic:
        strangers.anthropic.messages.create(model="m", max_tokens=2, messages=MESSAGES)
    assert (of_anthropic.value.type, of_anthropic.value.error_code) == ("authentication_error", "invalid_api_key")
    with pytest.raises(ollama.ResponseError, match="The API key is not known here") as of_ollama:
        strangers.ollama.chat(model="m", messages=MESSAGES)
    assert of_ollama.value.status_code == 401


def test_each_client_knows_that_a_model_is_not_its_own(others: Clients) -> None:
    with pytest.raises(openai.NotFoundError) as of_openai:
        others.openai.chat.completions.create(model="m", messages=MESSAGES)
    assert (of_openai.value.code, of_openai.value.param) == ("model_not_found", "model")
    with pytest.raises(anthropic.NotFoundError) as of_anthropic:
        others.anthropic.messages.create(model="m", max_tokens=2, messages=MESSAGES)
    assert (of_anthropic.value.type, of_anthropic.value.error_code) == ("not_found_error", "model_not_found")
    with pytest.raises(ollama.ResponseError, match="no model of that name") as of_ollama:
        others.ollama.generate(model="m", prompt=TEXT)
    assert of_ollama.value.status_code == 404


def test_each_client_knows_that_no_pod_is_ready(others: Clients) -> None:
    with pytest.raises(openai.InternalServerError) as of_openai:
        others.openai.chat.completions.create(model="cold", messages=MESSAGES)
    assert (of_openai.value.code, of_openai.value.response.headers["retry-after"]) == ("model_unavailable", "5")
    with pytest.raises(anthropic.InternalServerError) as of_anthropic:
        others.anthropic.messages.create(model="cold", max_tokens=2, messages=MESSAGES)
    assert (of_anthropic.value.type, of_anthropic.value.error_code) == ("overloaded_error", "model_unavailable")
    with pytest.raises(ollama.ResponseError, match="no pod of it is ready") as of_ollama:
        others.ollama.chat(model="cold", messages=MESSAGES)
    assert of_ollama.value.status_code == 503


def test_a_client_does_not_repeat_what_no_engine_does(fleet: Fleet) -> None:
    asked: list[object] = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [asked.append]}, trust_env=False)
    client = openai.OpenAI(base_url=f"{fleet.plane.url}/v1", api_key=key_of("a"), max_retries=2, http_client=http)
    with client, pytest.raises(openai.InternalServerError, match="give no embeddings"):
        client.embeddings.create(model="m", input="text")
    assert len(asked) == 1
