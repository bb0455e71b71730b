import pytest

from shimmy_engine.lines import LINES, LineName
from shimmy_engine.requests import Generation

CHAT = Generation(messages=(("user", "hi"),), temperature=0.5, stop=("x",))
COMPLETION = Generation(prompt="Once")


@pytest.mark.parametrize("line", LINES)
def test_a_chat_is_always_streamed_with_an_explicit_limit_and_without_stop(line: LineName) -> None:
    path, body = LINES[line].request(CHAT, model="m", max_tokens=7)
    assert path == "/v1/chat/completions"
    assert (body["stream"], body["max_tokens"], body["temperature"]) == (True, 7, 0.5)
    assert "stop" not in body
    assert "top_p" not in body
    assert body.get("stream_options") == ({"include_usage": True} if line == "airframe" else None)


def test_a_completion_goes_on_from_the_raw_text() -> None:
    own: dict[LineName, dict[str, bool]] = {
        "llama": {"stream": True},
        "airframe": {"stream": False, "raw_prompt": True},
    }
    for line, expected in own.items():
        path, body = LINES[line].request(COMPLETION, model="m", max_tokens=7)
        assert path == "/api/generate"
        assert body == {"model": "m", "prompt": "Once", "max_tokens": 7} | expected


def test_a_probe_generates_nothing() -> None:
    assert LINES["airframe"].probe(CHAT, model="m") == {
        "model": "m",
        "max_tokens": 0,
        "stream": False,
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_only_the_airframe_line_is_told_its_context() -> None:
    def arguments(line: LineName) -> list[str]:
        return LINES[line].arguments(port=1, model_path="/m.gguf", context=64)

    assert arguments("llama") == ["serve", "--bind", "127.0.0.1:1", "--model-path", "/m.gguf"]
    assert arguments("airframe")[-2:] == ["--ctx", "64"]
