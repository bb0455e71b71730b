"""The fake answers as the real Shimmy of the same line does: status, headers, and the shape of what it sends."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.contract.running import FAKE, Program, events, free_port, shimmy

CHAT = {"model": "model", "messages": [{"role": "user", "content": "Hi there"}], "max_tokens": 3, "temperature": 0}
GENERATE = {"model": "model", "prompt": "Once upon", "max_tokens": 3, "temperature": 0}
VALUES_THAT_MATTER = ("object", "finish_reason", "role", "code", "type", "param", "owned_by", "logprobs", "index")
HEADERS_THAT_MATTER = ("content-type", "cache-control", "access-control-allow-origin")


def call(client: httpx.Client, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, content=content, headers={"content-type": "application/json"} | headers)


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


CASES: dict[str, tuple[str, Any]] = {
    "chat as JSON": ("/v1/chat/completions", CHAT | {"stream": False}),
    "chat without stream": ("/v1/chat/completions", CHAT),
    "chat as stream": ("/v1/chat/completions", CHAT | {"stream": True}),
    "chat as stream with usage": (
        "/v1/chat/completions",
        CHAT | {"stream": True, "stream_options": {"include_usage": True}},
    ),
    "chat with ignored parameters": (
        "/v1/chat/completions",
        CHAT | {"stream": False, "n": 2, "tools": [], "seed": 5, "unknown": 1},
    ),
    "unknown model": ("/v1/chat/completions", CHAT | {"model": "nope"}),
    "model in other case": ("/v1/chat/completions", CHAT | {"model": "MODEL"}),
    "malformed JSON": ("/v1/chat/completions", b'{"model": "x", '),
    "no model": ("/v1/chat/completions", without(CHAT, "model")),
    "no messages": ("/v1/chat/completions", without(CHAT, "messages")),
    "content null": ("/v1/chat/completions", CHAT | {"messages": [{"role": "user", "content": None}]}),
    "negative max_tokens": ("/v1/chat/completions", CHAT | {"max_tokens": -1}),
    "max_tokens as text": ("/v1/chat/completions", CHAT | {"max_tokens": "5"}),
    "fractional max_tokens": ("/v1/chat/completions", CHAT | {"max_tokens": 2.5}),
    "temperature as text": ("/v1/chat/completions", CHAT | {"temperature": "hot"}),
    "body too large": ("/v1/chat/completions", b" " * (2 * 1024 * 1024 + 1)),
    "generate as JSON": ("/api/generate", GENERATE | {"stream": False}),
    "generate without stream": ("/api/generate", GENERATE),
    "generate with messages": ("/api/generate", without(CHAT, "x") | {"stream": False}),
    "generate nothing": ("/api/generate", GENERATE | {"stream": False, "max_tokens": 0}),
    "generate for unknown model": ("/api/generate", GENERATE | {"model": "nope"}),
    "completion": ("/v1/completions", GENERATE),
    "unknown path": ("/v1/embeddings", GENERATE),
}
AIRFRAME_CASES: dict[str, tuple[str, Any]] = {
    "no message": ("/v1/chat/completions", CHAT | {"messages": []}),
    "an image": ("/v1/chat/completions", CHAT | {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
    "text parts": (
        "/v1/chat/completions",
        CHAT | {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
    ),
    "max_tokens 0": ("/v1/chat/completions", CHAT | {"max_tokens": 0}),
    "too many max_tokens": ("/v1/chat/completions", CHAT | {"max_tokens": 131_073}),
    "raw prompt": ("/api/generate", GENERATE | {"stream": False, "raw_prompt": True}),
    "no prompt": ("/api/generate", without(GENERATE, "prompt") | {"stream": False}),
    "completion with stream": ("/v1/completions", GENERATE | {"stream": True}),
    "completion of nothing": ("/v1/completions", GENERATE | {"prompt": ""}),
    "completion of a list": ("/v1/completions", GENERATE | {"prompt": ["a"]}),
    "completion for unknown model": ("/v1/completions", GENERATE | {"model": "nope"}),
}


@dataclass(frozen=True)
class Pair:
    """The same line twice."""

    real: httpx.Client
    fake: httpx.Client


@pytest.fixture(scope="module", params=["llama", "airframe"])
def pair(request: pytest.FixtureRequest, toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    real: Program = request.getfixturevalue(f"real_{request.param}")
    folder = tmp_path_factory.mktemp(request.param)
    for name, model in (("real", real.model), ("fake", toy)):
        (folder / name).mkdir()
        (folder / name / "model.gguf").symlink_to(model)
    real = Program(real.line, real.binary, folder / "real" / "model.gguf")
    fake = Program(real.line, FAKE, folder / "fake" / "model.gguf")
    with shimmy(real, folder / "real") as one, shimmy(fake, folder / "fake") as other:
        yield Pair(one, other)


def shape(value: Any, key: str = "") -> Any:
    """Keys in their order and types; values only where they are part of the protocol."""
    if isinstance(value, dict):
        return [(name, shape(inner, name)) for name, inner in value.items()]
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return value if key in VALUES_THAT_MATTER else type(value).__name__


def described(response: httpx.Response) -> dict[str, Any]:
    told = {name: response.headers.get(name) for name in HEADERS_THAT_MATTER}
    told["status"] = response.status_code
    kind = response.headers.get("content-type", "")
    if kind == "application/json":
        told["body"] = shape(response.json())
    elif kind.startswith("text/event-stream"):
        shapes = [shape(event) if isinstance(event, dict) else event == "[DONE]" for event in events(response.content)]
        told["events"] = [one for one, before in zip(shapes, [None, *shapes], strict=False) if one != before]
    else:
        told["empty"] = not response.content
    return told


@pytest.mark.parametrize("case", CASES)
def test_the_fake_answers_as_the_real_one(pair: Pair, case: str) -> None:
    path, body = CASES[case]
    assert described(call(pair.fake, path, body)) == described(call(pair.real, path, body))


@pytest.mark.parametrize("pair", ["airframe"], indirect=True)
@pytest.mark.parametrize("case", AIRFRAME_CASES)
def test_the_fake_answers_as_the_real_one_where_only_2_6_has_an_opinion(pair: Pair, case: str) -> None:
    path, body = AIRFRAME_CASES[case]
    assert described(call(pair.fake, path, body)) == described(call(pair.real, path, body))


def test_other_content_types_origins_and_methods_are_treated_alike(pair: Pair) -> None:
    for headers in ({"content-type": "text/plain"}, {"origin": "http://elsewhere.example"}):
        answers = [call(client, "/v1/chat/completions", CHAT, **headers) for client in (pair.fake, pair.real)]
        assert described(answers[0]) == described(answers[1])
    for path in ("/v1/models", "/v1/chat/completions", "/nothing"):
        assert described(pair.fake.get(path)) == described(pair.real.get(path))


def test_both_list_the_same_models(pair: Pair) -> None:
    listed = [[model["id"] for model in client.get("/v1/models").json()["data"]] for client in (pair.fake, pair.real)]
    assert sorted(listed[0]) == sorted(listed[1])


def test_health_says_ok_and_the_version(pair: Pair) -> None:
    told = [client.get("/health").json() for client in (pair.fake, pair.real)]
    assert [one["status"] for one in told] == ["ok", "ok"]
    assert told[0]["version"] == told[1]["version"]


def test_an_answer_has_as_many_content_chunks_as_tokens(pair: Pair) -> None:
    body = CHAT | {"stream": True, "max_tokens": 7, "messages": [{"role": "user", "content": "Count to one hundred."}]}
    for client in (pair.fake, pair.real):
        streamed = events(call(client, "/v1/chat/completions", body).content)
        contents = [event["choices"][0]["delta"]["content"] for event in streamed[:-1]]
        assert sum(content is not None for content in contents) == 7


@pytest.mark.parametrize("line", ["llama", "airframe"])
def test_sigterm_ends_both_at_once(line: str, request: pytest.FixtureRequest, toy: Path, tmp_path: Path) -> None:
    real: Program = request.getfixturevalue(f"real_{line}")
    codes = []
    for program in (real, Program(line, FAKE, toy)):
        port = free_port()
        command = [str(program.binary), "serve", "--bind", f"127.0.0.1:{port}", "--model-path", str(program.model)]
        with subprocess.Popen(
            command, env=program.env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.terminate()
            codes.append(process.wait(5))
    assert codes[0] == codes[1]
