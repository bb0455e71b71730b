"""The two accounts of the same requests: Envoy's access log, which has no acknowledgement, and the engine's journal."""

import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.contract.running import FAKE, TOKEN, Program, Runner, runner
from tests.dataplane.plane import Objects, Plane, chat, key_of, model, plane, tenant
from tests.fakes.shimmy import toy_gguf

from devkit.waiting import until

Account = dict[str, dict[str, Any]]
"""By request id."""

PATH = "/v1/chat/completions"
CLIENTS, REQUESTS = 6, 8
RESTARTS = 2
FLUSH_SECONDS = 1.0
"""buffer_flush_interval of the access log."""


@dataclass
class Sent:
    """What clients saw, by x-request-id."""

    whole: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("engine")
    toy = toy_gguf.write(folder / "toy.gguf")
    program = Program("llama", FAKE, toy, {"SHIMMY_FAKE_TOKENS_PER_SECOND": "400"})
    with runner(program, folder / "runner", "--queue", "64") as started:
        yield started


@contextmanager
def router(folder: Path, engine: Runner) -> Iterator[Plane]:
    objects = Objects(folder / "objects")
    port = httpx.URL(engine.url).port
    assert port
    objects.write("a", [*tenant("a", token=TOKEN), *model("a", "m", ports=[port])])
    with plane(folder, ["--directory", str(objects.folder), "--log-level", "DEBUG"]) as started:
        yield started


def load(p: Plane, seed: int, sent: Sent) -> None:
    """Whole answers, streams to their end, and streams that the client leaves."""
    chance = random.Random(seed)
    for _ in range(REQUESTS):
        kind = chance.choice(["whole", "stream", "leave"])
        body = chat(f"[[tokens={chance.randrange(5, 40)}]] go on", stream=kind != "whole")
        with p.client(key_of("a")) as client, client.stream("POST", PATH, json=body) as response:
            assert response.status_code == 200
            name = response.headers["x-request-id"]
            if kind == "leave":
                next(response.iter_raw())
                sent.left.add(name)
            else:
                response.read()
                sent.whole.add(name)


@contextmanager
def clients(p: Plane, seed: int, sent: Sent) -> Iterator[None]:
    """Many at a time, until all are done."""
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(load, p, seed + number, sent) for number in range(CLIENTS)]
        yield
        for client in running:
            client.result()


def logged(folder: Path) -> Account:
    """What the agent was told, by request id."""
    lines = re.findall(r" DEBUG shimmy_router\.access: (\{.*\})$", (folder / "log").read_text(), re.MULTILINE)
    return {entry["request_id"]: entry for entry in map(json.loads, lines)}


def journal(engine: Runner) -> Account:
    page = engine.client.get("/internal/journal", params={"limit": 1000}).json()
    assert page["remaining"] == 0
    return {record["requestId"]: record for record in page["records"]}


def tokens(entry: dict[str, Any]) -> tuple[int | None, int | None]:
    return entry["prompt_tokens"], entry["completion_tokens"]


def settled(p: Plane, folder: Path) -> str:
    """Send requests until one of them is in the agent's log; its id."""

    def told() -> str | None:
        with p.client(key_of("a")) as client:
            name = str(client.post(PATH, json=chat()).headers["x-request-id"])
        with suppress(TimeoutError):
            until(lambda: name in logged(folder), "it", seconds=3 * FLUSH_SECONDS)
            return name
        return None

    return until(told, "the log to be told", seconds=30)


def why(name: str, log: Account, exact: Account, away: list[tuple[float, float]]) -> str:
    """How the two accounts of a request differ."""
    entry, record = log.get(name), exact.get(name)
    if record is None:
        return "neither: left before the engine began" if entry is None else "log only: never reached a model"
    if entry is None:
        end = _time(record["time"])
        slack = 2 * FLUSH_SECONDS
        lost = any(begin - slack <= end <= back + slack for begin, back in away)
        return "journal only: ended while the agent was away" if lost else "journal only: lost without a reason"
    if tokens(entry) == (record["promptTokens"], record["completionTokens"]):
        return "the same"
    if entry["outcome"] == "cancelled" and tokens(entry) == (None, None):
        return "log without counts: a stream that was left has no trailers"
    return "different counts"


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_the_journal_has_every_request_and_the_log_those_that_the_agent_saw_end(
    tmp_path: Path, engine: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    sent, away = Sent(), list[tuple[float, float]]()
    with router(tmp_path, engine) as p:
        for number in range(RESTARTS):
            with clients(p, 100 * number, sent):
                pass
            with clients(p, 100 * number + 50, sent):
                p.kill_agent()
                begin = time.time()
            p.start_agent()
            until(lambda: "shimmy_router_synced 1" in p.metrics(), "the agent", seconds=60)
            away.append((begin, time.time()))
        last = settled(p, tmp_path)
        engine.settled()
    log, exact = logged(tmp_path), journal(engine)
    names = sorted(log.keys() | exact.keys() | sent.whole | sent.left)
    found = {name: why(name, log, exact, away) for name in names}
    with capsys.disabled():
        print(f"\n{len(names)} requests, {len(sent.left)} left, agent away {len(away)} times:")  # noqa: T201
        for reason, count in Counter(found.values()).most_common():
            print(f"  {count:4} {reason}")  # noqa: T201

    assert sent.whole <= exact.keys()
    assert {name for name, entry in log.items() if entry["outcome"] == "completed"} <= exact.keys()
    assert set(found.values()) <= {
        "the same",
        "journal only: ended while the agent was away",
        "log without counts: a stream that was left has no trailers",
        "neither: left before the engine began",
    }
    assert {found[name] for name in sent.whole} <= {"the same", "journal only: ended while the agent was away"}
    assert found[last] == "the same"
    # Each of these was provoked.
    assert {"the same", "journal only: ended while the agent was away"} <= set(found.values())
