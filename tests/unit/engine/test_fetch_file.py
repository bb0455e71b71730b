import errno
import hashlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fakes.shimmy import toy_gguf
from tests.fakes.web import WebSource, serving

from shimmy_engine.fetch.file import fetch_file
from shimmy_engine.fetch.options import FetchOptions
from shimmy_engine.fetch.partial import locked_partial
from shimmy_engine.fetch.transfer import Bounds
from shimmy_engine.gguf_header import GgufError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return toy_gguf.write(tmp_path_factory.mktemp("model") / "source.gguf").read_bytes()


@pytest.fixture
def source(model: bytes) -> Iterator[WebSource]:
    with serving(model) as served:
        yield served


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "volume" / "models" / "model.gguf"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


def digest(source: WebSource) -> str:
    return hashlib.sha256(source.content).hexdigest()


def entries(destination: Path) -> set[str]:
    return {entry.name for entry in destination.parent.iterdir()}


def refused(url: str, destination: Path, sha256: str, options: FetchOptions | None = None) -> GgufError:
    with pytest.raises(GgufError) as caught:
        fetch_file(url, destination, sha256, options or FetchOptions())
    assert not destination.exists()
    return caught.value


def refused_for_good(url: str, destination: Path, sha256: str, options: FetchOptions | None = None) -> GgufError:
    error = refused(url, destination, sha256, options)
    assert not destination.parent.exists() or not entries(destination), "something half-written was left behind"
    return error


def test_a_file_is_fetched_whole(source: WebSource, destination: Path) -> None:
    result = fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert destination.read_bytes() == source.content
    assert result.sha256 == digest(source)
    assert entries(destination) == {"model.gguf"}


@pytest.mark.parametrize("sized", [True, False])
def test_a_server_without_ranges_will_do(source: WebSource, destination: Path, sized: bool) -> None:
    source.ranges, source.sized = False, sized
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert destination.read_bytes() == source.content
    assert len(source.requests) == 1


def test_a_redirect_is_followed(source: WebSource, destination: Path) -> None:
    source.statuses, source.headers = [302], {"location": "/elsewhere.gguf"}
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert destination.read_bytes() == source.content


def test_a_file_that_is_there_is_not_fetched_again(source: WebSource, destination: Path) -> None:
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    before = len(source.requests)
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert len(source.requests) == before


def test_a_wrong_file_that_is_there_is_replaced(source: WebSource, destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    destination.write_bytes(b"old")
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert destination.read_bytes() == source.content


def test_a_file_with_another_digest_is_not_kept(source: WebSource, destination: Path) -> None:
    error = refused_for_good(f"{source.url}/model.gguf", destination, "0" * 64)
    assert error.reason == "ChecksumMismatch"
    assert digest(source) in error.message


@pytest.mark.parametrize("content", [b"<html>log in first</html>", b""])
def test_a_file_of_another_kind_is_not_kept(source: WebSource, destination: Path, content: bytes) -> None:
    source.content = content
    error = refused_for_good(f"{source.url}/model.gguf", destination, digest(source))
    assert error.reason == ("NotGguf" if content else "Truncated")


def test_a_wrong_content_is_told_before_what_it_looks_like(source: WebSource, destination: Path) -> None:
    source.content = b"<html>log in first</html>"
    assert refused_for_good(f"{source.url}/model.gguf", destination, "0" * 64).reason == "ChecksumMismatch"


def test_a_resumed_file_of_another_kind_is_not_fetched_again(source: WebSource, destination: Path) -> None:
    source.content = b"<html>log in first</html>"
    source.cuts = [None, 10, *[0] * 10]
    assert refused(f"{source.url}/model.gguf", destination, digest(source)).reason == "SourceUnreachable"
    source.cuts, source.sent = [], 0
    assert refused_for_good(f"{source.url}/model.gguf", destination, digest(source)).reason == "NotGguf"
    assert source.sent == len(source.content) - 10 + 1


def test_a_digest_is_required_where_the_source_does_not_name_its_content(source: WebSource, destination: Path) -> None:
    with pytest.raises(ValueError, match="sha256 is required"):
        fetch_file(f"{source.url}/model.gguf", destination)
    assert not source.requests


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_breaks_is_tried_again(source: WebSource, destination: Path, ranges: bool) -> None:
    source.ranges = ranges
    source.cuts = [1 if ranges else 100, 100, 200, 300]
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert destination.read_bytes() == source.content


def test_a_source_that_breaks_off_every_time_is_given_up(source: WebSource, destination: Path) -> None:
    source.ranges, source.cuts = False, [100] * 100
    error = refused_for_good(f"{source.url}/model.gguf", destination, digest(source))
    assert (error.reason, len(source.requests)) == ("SourceUnreachable", 5)


def test_a_busy_source_is_tried_again(source: WebSource, destination: Path) -> None:
    source.statuses = [503, 429, 500]
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert destination.read_bytes() == source.content


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "AccessDenied"), (403, "AccessDenied"), (404, "SourceMissing"), (400, "SourceUnreachable")],
)
def test_a_source_that_refuses_is_believed_at_once_and_told_without_what_may_be_secret(
    source: WebSource, destination: Path, status: int, reason: str
) -> None:
    source.statuses = [status] * 10
    error = refused_for_good(f"{source.url}/model.gguf?token=secret", destination, digest(source))
    assert (error.reason, len(source.requests)) == (reason, 1)
    assert f"/model.gguf answered with status {status}" in error.message
    assert "secret" not in error.message


def test_nobody_at_the_address_is_told(destination: Path) -> None:
    assert refused_for_good("http://127.0.0.1:1/model.gguf", destination, "0" * 64).reason == "SourceUnreachable"


@pytest.mark.parametrize(("ranges", "sized"), [(True, True), (False, True), (False, False)])
def test_a_file_past_the_cap_is_not_fetched(source: WebSource, destination: Path, ranges: bool, sized: bool) -> None:
    source.ranges, source.sized = ranges, sized
    options = FetchOptions(Bounds(max_bytes=1000))
    assert refused_for_good(f"{source.url}/m.gguf", destination, digest(source), options).reason == "TooLarge"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_volume_without_room_is_told_before_anything_is_written(
    source: WebSource, destination: Path, monkeypatch: pytest.MonkeyPatch, ranges: bool
) -> None:
    class Usage:
        free = 10

    source.ranges = ranges
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    error = refused_for_good(f"{source.url}/model.gguf", destination, digest(source))
    assert (error.reason, "only 10 are free" in error.message) == ("NoSpace", True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_volume_that_fills_up_is_told(
    source: WebSource, destination: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", full)
    assert refused(f"{source.url}/model.gguf", destination, digest(source)).reason == "NoSpace"


def test_a_volume_that_cannot_be_written_is_told(source: WebSource, destination: Path) -> None:
    destination.parent.parent.mkdir()
    destination.parent.write_text("a file where a folder should be")
    with pytest.raises(GgufError) as caught:
        fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert caught.value.reason == "NotWritable"


def test_offline_says_what_is_missing_and_where_it_would_come_from(source: WebSource, destination: Path) -> None:
    url = f"{source.url}/model.gguf?signature=secret"
    error = refused_for_good(url, destination, digest(source), FetchOptions(offline=True))
    assert error.reason == "Offline"
    assert all(part in error.message for part in (str(destination), digest(source), f"{source.url}/model.gguf"))
    assert "secret" not in error.message
    assert not source.requests


def test_offline_keeps_what_is_there(source: WebSource, destination: Path) -> None:
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    found = fetch_file(f"{source.url}/model.gguf", destination, digest(source), FetchOptions(offline=True))
    assert found.sha256 == digest(source)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_file_of_this_machine_is_copied(model: bytes, destination: Path, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "here.gguf").write_bytes(model)
    assert fetch_file(f"{scheme}{tmp_path}/here.gguf", destination).size_bytes == len(model)
    assert destination.read_bytes() == model
    assert entries(destination) == {"model.gguf"}


def test_a_file_that_is_its_own_destination_is_checked_in_place(model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "here.gguf"
    path.write_bytes(model)
    assert fetch_file(str(path), path, hashlib.sha256(model).hexdigest()).size_bytes == len(model)
    with pytest.raises(GgufError, match="SHA-256"):
        fetch_file(str(path), path, "0" * 64)
    assert path.read_bytes() == model


def test_a_copy_of_a_wrong_file_is_not_kept(destination: Path, tmp_path: Path) -> None:
    (tmp_path / "here.gguf").write_bytes(b"no model")
    assert refused_for_good(str(tmp_path / "here.gguf"), destination, "0" * 64).reason == "NotGguf"
    assert refused_for_good(str(tmp_path / "absent.gguf"), destination, "0" * 64).reason == "FileMissing"


class Waits(logging.Handler):
    """Notices that a fetch waits for another one."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "waiting for it" in record.getMessage():
            self.seen.set()


@pytest.fixture
def waits(caplog: pytest.LogCaptureFixture) -> Iterator[threading.Event]:
    caplog.set_level(logging.INFO)
    handler = Waits()
    logging.getLogger().addHandler(handler)
    yield handler.seen
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("finishes", [True, False])
def test_another_fetch_of_the_same_file_is_waited_for(
    source: WebSource, destination: Path, waits: threading.Event, finishes: bool
) -> None:
    destination.parent.mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        # A lock belongs to an open file: a second one in this process is as good as another process.
        with locked_partial(destination) as other:
            mine = pool.submit(fetch_file, f"{source.url}/model.gguf", destination, digest(source))
            assert waits.wait(10)
            assert not source.requests
            other.write(source.content if finishes else b"not all of it", 0)
            if finishes:
                other.publish(destination)
        mine.result(10)
    assert destination.read_bytes() == source.content
    assert bool(source.requests) is not finishes
    assert entries(destination) == {"model.gguf"}
