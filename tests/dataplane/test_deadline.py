"""A request whose time is over is ended by the runner, which knows what to say, before the router breaks it off."""

from collections.abc import Iterator

import httpx
import pytest
from tests.contract.running import FAKE, TOKEN, Program, events, runner
from tests.dataplane.conftest import Fleet
from tests.dataplane.plane import chat, key_of, model, tenant
from tests.fakes.shimmy import toy_gguf

from devkit.waiting import until

PATH = "/v1/chat/completions"
SECONDS = 1
LONG = chat("[[tokens=400]]", max_tokens=400)
"""Twice what there is time for."""


@pytest.fixture(scope="module")
def client(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("slow")
    slow = Program("llama", FAKE, toy_gguf.write(folder / "toy.gguf"), {"SHIMMY_FAKE_TOKENS_PER_SECOND": "200"})
    # As the operator starts it.
    with runner(slow, folder / "runner", "--deadline-seconds", str(SECONDS)) as started:
        port = httpx.URL(started.url).port
        assert port
        objects = model("late", "m", ports=[port])
        objects[1]["spec"]["routing"] = {"timeoutSeconds": SECONDS}
        fleet.objects.write("late", [*tenant("late", token=TOKEN), *objects])
        with fleet.plane.client(key_of("late")) as found:
            until(lambda: found.post(PATH, json=chat(max_tokens=1)).is_success, "the model", seconds=10)
            yield found


def test_an_answer_that_is_late_is_an_error(client: httpx.Client) -> None:
    answer = client.post(PATH, json=LONG)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "engine_timeout")


def test_a_stream_that_is_late_ends_with_an_error_event(client: httpx.Client) -> None:
    answer = client.post(PATH, json=LONG | {"stream": True})
    assert answer.status_code == 200
    assert events(answer.content)[-1]["error"]["code"] == "engine_timeout"
