"""Shimmy's own API as its clients use it, by events and by WebSocket, over each Shimmy."""

import json
from typing import Any

import pytest
from tests.contract.h2c import websocket
from tests.contract.running import TOKEN, Runner
from tests.contract.ws import WebSocket, connect

from shimmy_engine.sse import SseDecoder

PROMPT = "What is the capital of France?"
ASK: dict[str, Any] = {"model": "m", "prompt": PROMPT, "max_tokens": 6, "temperature": 0}
EVENTS = {"accept": "text/event-stream"}


def opened(served: Runner, **headers: str) -> WebSocket:
    return connect(f"{served.url}/ws/generate", {"x-shimmy-engine-token": TOKEN, "x-request-id": "r-w"} | headers)


def whole(served: Runner, **changes: Any) -> dict[str, Any]:
    response = served.client.post("/api/generate", json=ASK | {"stream": False} | changes, headers=EVENTS)
    assert response.status_code == 200
    return dict(response.json())


@pytest.fixture(scope="module")
def answer(served: Runner) -> dict[str, Any]:
    """The answer to ASK, which is the same every time."""
    return whole(served)


def test_models(served: Runner) -> None:
    (model,) = served.client.get("/api/models").json()["models"]
    assert (model["name"], model["source"]) == ("m", "registered")
    assert model["size_bytes"] > 0


def test_a_prompt_is_answered_as_in_openais_api(served: Runner, answer: dict[str, Any]) -> None:
    openai = served.chat(PROMPT, max_tokens=6, temperature=0).json()
    assert answer["response"] == openai["choices"][0]["message"]["content"]
    assert (answer["usage"], answer["finish_reason"]) == (openai["usage"], openai["choices"][0]["finish_reason"])


def test_events_are_bare_text_until_the_end(served: Runner, answer: dict[str, Any]) -> None:
    response = served.client.post("/api/generate", json=ASK, headers=EVENTS)
    assert response.headers["content-type"].startswith("text/event-stream")
    *texts, last, end = SseDecoder().feed(response.content)
    assert "".join(texts) == answer["response"]
    assert json.loads(last) == {"done": True} | {key: answer[key] for key in ("model", "finish_reason", "usage")}
    assert end == "[DONE]"


def test_without_the_header_the_path_is_ollamas(served: Runner) -> None:
    response = served.client.post("/api/generate", json={"model": "m", "prompt": "hi", "options": {"num_predict": 2}})
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert response.headers["content-type"] == "application/x-ndjson"
    assert lines[-1]["done"]


def test_refusals_have_codes(served: Runner) -> None:
    for change, status, code in (
        ({"model": "other"}, 404, "model_not_found"),
        ({"top_k": 5}, 400, "unsupported_parameter"),
        ({"max_tokens": 1_000_000}, 400, "context_length_exceeded"),
    ):
        response = served.client.post("/api/generate", json=ASK | change, headers=EVENTS)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_websocket_sends_text_and_then_what_it_came_to(served: Runner, answer: dict[str, Any]) -> None:
    with opened(served) as socket:
        socket.send(ASK)
        *texts, last = socket.rest()
    assert "".join(texts) == answer["response"]
    assert json.loads(last) == {"done": True} | {key: answer[key] for key in ("model", "finish_reason", "usage")}
    assert socket.close_code == 1000
    assert (socket.headers["x-shimmy-model"], socket.headers["x-shimmy-pod"]) == ("m", "m-0")
    record = next(record for record in reversed(served.usage()) if record["requestId"] == "r-w")
    assert record["outcome"] == "completed"
    assert record["completionTokens"] == answer["usage"]["completion_tokens"]


def test_a_websocket_over_http2_as_envoy_opens_it(served: Runner, answer: dict[str, Any]) -> None:
    headers, (*texts, last), close = websocket(f"{served.url}/ws/generate", ASK, {"x-shimmy-engine-token": TOKEN})
    assert (headers[":status"], headers["x-shimmy-model"], close) == ("200", "m", 1000)
    assert "".join(texts) == answer["response"]
    assert json.loads(last)["usage"] == answer["usage"]


def test_a_websocket_stops_at_a_string(served: Runner, answer: dict[str, Any]) -> None:
    full = answer["response"]
    stop = full[len(full) // 2 :][:4]
    with opened(served) as socket:
        socket.send(ASK | {"stop": [stop]})
        *texts, last = socket.rest()
    assert "".join(texts) == full[: full.index(stop)]
    assert json.loads(last)["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("{", "invalid_json"),
        (ASK | {"model": "other"}, "model_not_found"),
        (ASK | {"top_k": 5}, "unsupported_parameter"),
        (ASK | {"stream": False}, "unsupported_parameter"),
        (ASK | {"max_tokens": 1_000_000}, "context_length_exceeded"),
        ({"model": "m"}, "invalid_value"),
        (b"{}", "invalid_json"),
        (" " * (10 * 1024 * 1024 + 1), "request_too_large"),
    ],
    ids=["json", "model", "parameter", "stream", "context", "nothing", "binary", "size"],
)
def test_a_websocket_says_why_it_closes(served: Runner, first: Any, code: str) -> None:
    with opened(served) as socket:
        socket.send(first)
        (frame,) = socket.rest()
    assert json.loads(frame)["error"]["code"] == code
    assert socket.close_code == 1008


def test_a_websocket_needs_the_token(served: Runner) -> None:
    with connect(f"{served.url}/ws/generate", {}) as socket:
        socket.rest()
    assert (socket.status, json.loads(socket.body)["error"]["code"]) == (403, "untrusted_caller")


def test_leaving_a_websocket_frees_the_engine(served: Runner) -> None:
    before = served.settled()
    with opened(served) as socket:
        socket.send(ASK | {"max_tokens": 40})
        socket.next()
    assert whole(served)["response"]
    assert served.settled() == before + 2


def test_leaving_a_websocket_before_asking_is_nothing(served: Runner) -> None:
    before = served.settled()
    opened(served).close()
    assert served.settled() == before
