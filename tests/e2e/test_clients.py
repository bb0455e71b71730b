"""The clients that users have, through the whole router to the real Shimmy, and what the journal says they used."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from tests.contract.ws import connect
from tests.e2e.pods import used

from devkit.demo.fleet import MODEL, TENANT, Fleet

PROMPT = "What is the capital of France?"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
ALIAS = "smollm2"
TOKENS = 16


@dataclass
class Requests:
    """Those that were sent."""

    last: str = ""
    """The x-request-id of the last one."""

    def note(self, response: httpx.Response) -> None:
        self.last = response.headers["x-request-id"]


@dataclass(frozen=True)
class Clients:
    """All of them, with one key."""

    requests: Requests
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic
    ollama: ollama.Client


@pytest.fixture
def clients(fleet: Fleet, url: str) -> Iterator[Clients]:
    requests, key, root = Requests(), fleet.key(), url.removesuffix("/v1")
    hooks: Any = {"response": [requests.note]}
    one = openai.DefaultHttpxClient(event_hooks=hooks, trust_env=False)
    other = anthropic.DefaultHttpxClient(event_hooks=hooks, trust_env=False)
    bearer = {"authorization": f"Bearer {key}"}
    with (
        openai.OpenAI(base_url=url, api_key=key, max_retries=0, http_client=one) as of_openai,
        anthropic.Anthropic(base_url=root, api_key=key, max_retries=0, http_client=other) as of_anthropic,
        ollama.Client(root, headers=bearer, event_hooks=hooks, trust_env=False) as of_ollama,
    ):
        yield Clients(requests, of_openai, of_anthropic, of_ollama)


def counted(fleet: Fleet, request: str) -> tuple[int, int]:
    """Tokens of a request by the engine's journal."""
    record = used(fleet, request)
    assert (record["tenant"], record["model"], record["outcome"]) == (TENANT, MODEL, "completed")
    return record["promptTokens"], record["completionTokens"]


def test_openai(fleet: Fleet, clients: Clients) -> None:
    create = clients.openai.chat.completions.create
    whole = create(model=MODEL, messages=MESSAGES, max_tokens=TOKENS, temperature=0)
    text = whole.choices[0].message.content
    assert text
    assert "Paris" in text
    assert whole.usage
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == counted(fleet, clients.requests.last)

    streamed: Any = create(
        model=ALIAS,
        messages=MESSAGES,
        max_tokens=TOKENS,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(streamed)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    assert chunks[-1].usage == whole.usage
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == counted(fleet, clients.requests.last)

    assert {MODEL, ALIAS} <= {model.id for model in clients.openai.models.list()}
    with pytest.raises(openai.NotFoundError):
        create(model="nothing", messages=MESSAGES)


def test_anthropic(fleet: Fleet, clients: Clients) -> None:
    asked: Any = {"model": MODEL, "max_tokens": TOKENS, "messages": MESSAGES, "extra_body": {"temperature": 0}}
    whole = clients.anthropic.messages.create(**asked)
    (block,) = whole.content
    assert block.type == "text"
    assert "Paris" in block.text
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == counted(fleet, clients.requests.last)
    with clients.anthropic.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == block.text
        assert stream.get_final_message().usage == whole.usage
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == counted(fleet, clients.requests.last)
    assert {MODEL, ALIAS} <= {model.id for model in clients.anthropic.models.list()}


def test_ollama(fleet: Fleet, clients: Clients) -> None:
    brief: Any = {"num_predict": TOKENS, "temperature": 0}
    whole = clients.ollama.chat(model=f"{MODEL}:latest", messages=MESSAGES, options=brief)
    assert "Paris" in (whole.message.content or "")
    assert (whole.prompt_eval_count, whole.eval_count) == counted(fleet, clients.requests.last)
    *parts, last = clients.ollama.chat(model=ALIAS, messages=MESSAGES, options=brief, stream=True)
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert (last.prompt_eval_count, last.eval_count) == counted(fleet, clients.requests.last)
    assert {MODEL, ALIAS} <= {model.model for model in clients.ollama.list().models}


def test_a_websocket(fleet: Fleet, url: str) -> None:
    root = url.removesuffix("/v1")
    with connect(f"{root}/ws/generate?model={MODEL}", {"x-api-key": fleet.key()}) as socket:
        socket.send({"prompt": PROMPT, "max_tokens": TOKENS})
        *texts, last = socket.rest()
        request = socket.headers["x-request-id"]
    assert "".join(texts)
    usage = json.loads(last)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == counted(fleet, request)
