"""Who gets in, where requests go, and what comes back."""

import json

import httpx
import pytest
from tests.dataplane.conftest import Fleet
from tests.dataplane.plane import chat, key_of

from devkit.waiting import until

PATH = "/v1/chat/completions"


def code(response: httpx.Response) -> tuple[int, str]:
    """Status and error code; every answer carries a request id and an error in OpenAI's shape."""
    assert response.headers["x-request-id"]
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return response.status_code, error["code"]


def test_a_chat_reaches_the_model_of_the_keys_tenant(fleet: Fleet) -> None:
    with fleet.plane.client(key_of("a")) as client:
        response = client.post(PATH, json=chat())
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"]
    assert response.headers["x-shimmy-model"] == "m"
    assert response.headers["x-shimmy-pod"] == "m-0"
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("headers", [{"x-api-key": key_of("a")}, {"authorization": f"bearer {key_of('a')}"}])
def test_a_key_is_taken_in_either_header(fleet: Fleet, headers: dict[str, str]) -> None:
    with fleet.plane.client() as client:
        assert client.post(PATH, json=chat(), headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("key", "model", "expected"),
    [
        ("", "m", (401, "missing_api_key")),
        ("sk-shimmy-unknown0-00000000000000000000000000000000", "m", (401, "invalid_api_key")),
        (key_of("a"), "nothing", (404, "model_not_found")),
        (key_of("b"), "m", (404, "model_not_found")),
        (key_of("b"), "cold", (503, "model_unavailable")),
    ],
)
def test_what_is_not_allowed_or_not_there_is_refused(
    fleet: Fleet, key: str, model: str, expected: tuple[int, str]
) -> None:
    with fleet.plane.client(key) as client:
        response = client.post(PATH, json=chat(model_name=model))
    assert code(response) == expected
    assert ("retry-after" in response.headers) == (expected[0] == 503)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model": "m', (400, "invalid_json")),
        (b"", (400, "missing_model")),
        (b"[]", (400, "invalid_json")),
        (b'{"messages": []}', (400, "missing_model")),
        (b'{"messages": [{"model": "m"}], "user": "\\"model\\": \\"m\\""}', (400, "missing_model")),
        (b'{"model": null}', (400, "missing_model")),
        (b'{"model": 5}', (400, "missing_model")),
        (b'{"model": ""}', (400, "missing_model")),
        (b'{"model": "m\\r\\nx-shimmy-tenant: b"}', (404, "model_not_found")),
        (b'{"model": "!no-model"}', (404, "model_not_found")),
        (b'{"model": "m", "messages": "' + b"x" * (11 << 20) + b'"}', (413, "body_too_large")),
    ],
)
def test_a_body_without_a_model_is_refused(fleet: Fleet, body: bytes, expected: tuple[int, str]) -> None:
    with fleet.plane.client(key_of("a")) as client:
        response = client.post(PATH, content=body, headers={"content-type": "application/json"})
    assert code(response) == expected


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded", "application/json; charset=utf-8"])
def test_the_body_counts_whatever_the_client_calls_it(fleet: Fleet, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    body = b'{"messages": [{"role": "user", "content": "hello"}], "max_tokens": 2, "model": "\\u006d"}'
    with fleet.plane.client(key_of("a")) as client:
        assert client.post(PATH, content=body, headers=headers).status_code == 200


def test_an_unknown_path_is_not_found(fleet: Fleet) -> None:
    with fleet.plane.client(key_of("a")) as client:
        assert code(client.get("/v1/elsewhere")) == (404, "not_found")


def test_an_alias_is_a_name_of_its_model(fleet: Fleet) -> None:
    with fleet.plane.client(key_of("a")) as client:
        response = client.post(PATH, json=chat(model_name="gpt"))
    assert (response.status_code, response.headers["x-shimmy-model"]) == (200, "m")


def test_the_list_of_models_is_the_keys_own(fleet: Fleet) -> None:
    with fleet.plane.client(key_of("b")) as client:
        listed = client.get("/v1/models").json()
    assert [entry["id"] for entry in listed["data"]] == ["cold", "own"]


def test_who_a_request_comes_from_is_never_taken_from_the_request(fleet: Fleet) -> None:
    forged = {
        "x-shimmy-tenant": "b",
        "x-shimmy-model": "own",
        "x-shimmy-engine-token": "forged-forged-forged",
        "x-shimmy-key-id": "sk-shimmy-forged00",
        "x-request-id": "forged",
    }
    with fleet.plane.client(key_of("a")) as client:
        response = client.post(PATH, json=chat(), headers=forged)
    assert response.status_code == 200
    request_id = response.headers["x-request-id"]
    assert request_id != "forged"
    (record,) = (r for r in fleet.engine.usage() if r["requestId"] == request_id)
    assert (record["tenant"], record["keyId"]) == ("a", key_of("a")[:18])


def test_a_stream_comes_through_and_is_counted_by_its_trailers(fleet: Fleet) -> None:
    def counted(kind: str) -> float:
        name = f'shimmy_router_tokens_total{{kind="{kind}",model="m",tenant="s"}} '
        lines = [line for line in fleet.plane.metrics().splitlines() if line.startswith(name)]
        return float(lines[0].removeprefix(name)) if lines else 0

    prompt, completion = counted("prompt"), counted("completion")
    with fleet.plane.client(key_of("s")) as client:
        body = chat(stream=True, stream_options={"include_usage": True})
        lines = client.post(PATH, json=body).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    usage = events[-1]["usage"]
    pieces = [e["choices"][0]["delta"].get("content") for e in events if e["choices"]]
    assert len([piece for piece in pieces if piece]) == usage["completion_tokens"] > 1
    until(
        lambda: (
            (counted("prompt"), counted("completion"))
            == (prompt + usage["prompt_tokens"], completion + usage["completion_tokens"])
        ),
        "the access log",
        seconds=10,
    )
