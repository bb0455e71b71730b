import pytest

from shimmy_engine import wording
from shimmy_engine.quirks import TABLE, Quirks
from shimmy_engine.requests import Generation

CHAT = Generation(messages=(("user", "hi"),), temperature=0.5, stop=("x",))
COMPLETION = Generation(prompt="Once", seed=-1)


def row(line: str, build: str = "fleet") -> Quirks:
    return next(quirks for quirks in TABLE if (quirks.line, quirks.build) == (line, build))


def named(quirks: Quirks) -> str:
    return f"{quirks.line}-{quirks.build}"


@pytest.mark.parametrize("quirks", TABLE, ids=named)
def test_a_chat_is_always_streamed_with_an_explicit_limit_and_without_stop(quirks: Quirks) -> None:
    path, body = wording.request(quirks, CHAT, model="m", max_tokens=7)
    assert path == "/v1/chat/completions"
    assert (body["stream"], body["max_tokens"], body["temperature"]) == (True, 7, 0.5)
    assert "stop" not in body
    assert "top_p" not in body
    assert body.get("stream_options") == ({"include_usage": True} if quirks.line == "airframe" else None)


@pytest.mark.parametrize(
    ("line", "own"), [("llama", {"stream": True}), ("airframe", {"stream": False, "raw_prompt": True})]
)
def test_a_completion_goes_on_from_the_raw_text(line: str, own: dict[str, bool]) -> None:
    path, body = wording.request(row(line), COMPLETION, model="m", max_tokens=7)
    assert path == "/api/generate"
    assert body == {"model": "m", "prompt": "Once", "max_tokens": 7, "seed": (1 << 32) - 1} | own


def test_without_a_seed_every_answer_is_drawn_anew() -> None:
    seeds = {wording.request(row("airframe"), CHAT, model="m", max_tokens=7)[1]["seed"] for _ in range(8)}
    assert len(seeds) > 1
    assert all(0 <= seed < 1 << 32 for seed in seeds)


def test_a_build_that_takes_no_seed_gets_none() -> None:
    assert "seed" not in wording.request(row("airframe", "upstream"), CHAT, model="m", max_tokens=7)[1]


def test_a_probe_generates_nothing() -> None:
    assert wording.probe(row("airframe"), CHAT, model="m") == {
        "model": "m",
        "max_tokens": 0,
        "stream": False,
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_only_the_airframe_line_is_told_its_context_by_a_flag() -> None:
    def arguments(line: str) -> list[str]:
        return wording.command_line(row(line), port=1, model_path="/m.gguf", context=64)

    assert arguments("llama") == ["serve", "--bind", "127.0.0.1:1", "--model-path", "/m.gguf"]
    assert arguments("airframe")[-2:] == ["--ctx", "64"]
