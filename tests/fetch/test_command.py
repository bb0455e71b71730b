"""`shimmy-engine fetch` as a process of its own."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.web import serving
from tests.fetch.stores import KEY, SECRET, Store

from devkit.paths import REPOSITORY
from devkit.waiting import until
from shimmy_api import names


def start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "shimmy_engine", "fetch", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "operator")}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_fetch_that_is_ended_goes_on_where_it_was(
    model: bytes, destination: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    came = 5000
    arguments = (destination, "--sha256", hashlib.sha256(model).hexdigest(), "--report", tmp_path / "report")
    note = destination.with_name(f".{destination.name}.partial.json")

    def noted() -> bool:
        try:
            state: Any = json.loads(note.read_text())
        except FileNotFoundError:
            return False
        return bool(state["missing"] == [[came, len(model)]])

    with serving(model) as source:
        source.holds = [None, came]
        with start(f"{source.url}/toy.gguf", *arguments) as first:
            until(noted, "what came is noted", seconds=20)
            first.send_signal(number)
            assert first.wait(10) == code
        assert not destination.exists()
        with start(f"{source.url}/toy.gguf", *arguments) as second:
            assert second.wait(20) == 0
        assert source.requests[-1][1] == f"bytes={came}-{len(model) - 1}"
        assert source.sent == len(model) + 2, "the bytes that ask for the size, and no other byte twice"
    assert destination.read_bytes() == model
    assert json.loads((tmp_path / "report").read_text())["sizeBytes"] == len(model)


def test_nothing_secret_is_in_the_log_or_the_report(
    s3: Store, model: bytes, destination: Path, secret: Path, tmp_path: Path
) -> None:
    (secret / "access-key-id").write_text(KEY)
    (secret / "secret-access-key").write_text(SECRET)
    report, digest = tmp_path / "report", hashlib.sha256(model).hexdigest()
    options = ("--sha256", digest, "--credentials", secret, "--report", report)
    for key, code in (("llm/toy%20one.gguf", 0), ("absent.gguf", names.FETCH_REFUSED)):
        process = start(s3.url(key), destination.with_name(key.replace("/", "-")), *options)
        _, log = process.communicate(timeout=20)
        assert process.returncode == code
        told = log + report.read_text()
        assert digest in told or "SourceMissing" in told
        assert SECRET not in told
        assert "Signature" not in told
