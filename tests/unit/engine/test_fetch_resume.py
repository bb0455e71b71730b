"""A transfer that was cut off goes on where it was, and never with what does not belong together."""

import errno
import hashlib
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.web import WebSource, serving

from shimmy_engine.checksums import Checksum
from shimmy_engine.fetch import transfer as transfers
from shimmy_engine.fetch.partial import Identity, locked_partial
from shimmy_engine.fetch.place import place_remote
from shimmy_engine.fetch.remote import Remote
from shimmy_engine.fetch.retries import Retries
from shimmy_engine.fetch.spans import Span, is_valid, last_present, missing, parse_content_range, split
from shimmy_engine.fetch.transfer import Bounds, transfer
from shimmy_engine.gguf_header import GgufError

CONTENT = random.Random(1).randbytes(40_000)
OTHER = random.Random(2).randbytes(30_000)
SMALLEST = 4_000


@pytest.fixture(scope="module")
def server() -> Iterator[WebSource]:
    with serving(CONTENT) as served:
        yield served


@pytest.fixture
def source(server: WebSource) -> WebSource:
    server.content, server.etag, server.ranges = CONTENT, '"one"', True
    server.cuts, server.requests, server.conditions, server.sent = [], [], [], 0
    return server


@pytest.fixture(autouse=True, scope="module")
def _small_and_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfers, "_SMALLEST", SMALLEST)
        patch.setattr(time, "sleep", lambda _: None)
        yield


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client() as made:
        yield made


def checksum(content: bytes) -> Checksum:
    return Checksum("sha256", hashlib.sha256(content).hexdigest())


def fetch(client: httpx.Client, source: WebSource, folder: Path, wanted: Checksum | None, ranges: int = 4) -> bytes:
    remote = Remote("the source", lambda: f"{source.url}/file", checksum=wanted)

    def inspect(path: Path) -> bytes:
        if wanted:
            wanted.check(path)
        return path.read_bytes()

    bounds = Bounds(connections=ranges)
    return place_remote(client, remote, folder / "file", bounds, inspect=inspect, keep=lambda: None)


def interrupt(client: httpx.Client, source: WebSource, folder: Path, wanted: Checksum | None, cut: int) -> None:
    """A fetch in one range that is given up after `cut` bytes, for its retries get nothing more."""
    source.cuts = [None, cut, *[0] * 10]
    with pytest.raises(GgufError, match="tries"):
        fetch(client, source, folder, wanted, ranges=1)
    source.cuts, source.requests, source.sent = [], [], 0


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, len(CONTENT) - 1), connections=st.integers(1, 4))
def test_a_fetch_goes_on_at_any_byte_and_fetches_no_byte_twice(
    server: WebSource, client: httpx.Client, cut: int, connections: int
) -> None:
    server.content, server.etag, server.ranges = CONTENT, '"one"', True
    with tempfile.TemporaryDirectory() as folder:
        interrupt(client, server, Path(folder), checksum(CONTENT), cut)
        assert fetch(client, server, Path(folder), checksum(CONTENT), connections) == CONTENT
        assert server.sent == len(CONTENT) - cut + 1  # and the byte that asks for the size
        assert [path.name for path in Path(folder).iterdir()] == ["file"]


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, SMALLEST), max_size=12), connections=st.integers(1, 6))
def test_ranges_that_break_off_anywhere_make_one_whole(
    server: WebSource, client: httpx.Client, cuts: list[int], connections: int
) -> None:
    server.content, server.etag, server.ranges = CONTENT, '"one"', True
    # At most three in a row bring nothing, so that nobody gives up.
    server.cuts = [None, *(cut if index % 3 else max(cut, 1) for index, cut in enumerate(cuts))]
    with tempfile.TemporaryDirectory() as folder:
        assert fetch(client, server, Path(folder), checksum(CONTENT), connections) == CONTENT


def test_a_large_file_is_fetched_in_several_ranges_at_once(
    source: WebSource, client: httpx.Client, tmp_path: Path
) -> None:
    assert fetch(client, source, tmp_path, None) == CONTENT
    assert source.requests[0][1] == "bytes=0-0"
    assert sorted(str(wanted) for _, wanted in source.requests[1:]) == [
        *("bytes=0-9999", "bytes=10000-19999", "bytes=20000-29999", "bytes=30000-39999")
    ]


@pytest.mark.parametrize(("etag", "condition"), [('"one"', '"one"'), ('W/"weak"', None), (None, None)])
def test_a_range_is_asked_for_of_the_same_content_where_the_etag_allows_that(
    source: WebSource, client: httpx.Client, tmp_path: Path, etag: str | None, condition: str | None
) -> None:
    source.etag = etag
    fetch(client, source, tmp_path, None)
    assert source.conditions == [None, *[condition] * 4]


def test_a_source_with_another_etag_than_before_is_fetched_from_its_beginning(
    source: WebSource, client: httpx.Client, tmp_path: Path
) -> None:
    interrupt(client, source, tmp_path, checksum(CONTENT), 12_345)
    source.etag = '"two"'
    assert fetch(client, source, tmp_path, checksum(CONTENT)) == CONTENT
    assert source.sent == len(CONTENT) + 1


def test_a_source_that_changes_during_the_transfer_is_fetched_from_its_beginning(
    source: WebSource, client: httpx.Client, tmp_path: Path
) -> None:
    def address() -> str:
        if len(source.requests) == 1:
            source.content, source.etag = OTHER, '"two"'
        return f"{source.url}/file"

    with locked_partial(tmp_path / "file") as partial:
        transfer(client, Remote("the source", address), partial, Bounds(), Retries())
        assert partial.path.read_bytes() == OTHER


def test_a_source_that_always_changes_is_given_up(source: WebSource, client: httpx.Client, tmp_path: Path) -> None:
    def address() -> str:
        source.etag = f'"{len(source.requests)}"'
        return f"{source.url}/file"

    with locked_partial(tmp_path / "file") as partial, pytest.raises(GgufError, match="changes again and again"):
        transfer(client, Remote("the source", address), partial, Bounds(), Retries())


def test_a_source_that_got_shorter_without_an_etag_is_fetched_from_its_beginning(
    source: WebSource, client: httpx.Client, tmp_path: Path
) -> None:
    source.etag = None

    def address() -> str:
        if len(source.requests) == 1:
            source.content = CONTENT[:10]  # the other ranges get 416
        return f"{source.url}/file"

    with locked_partial(tmp_path / "file") as partial:
        transfer(client, Remote("the source", address), partial, Bounds(), Retries())
        assert partial.path.read_bytes() == CONTENT[:10]


def test_without_a_checksum_nothing_tells_that_the_rest_belongs_to_the_same_file(
    source: WebSource, client: httpx.Client, tmp_path: Path
) -> None:
    interrupt(client, source, tmp_path, None, 12_345)
    assert fetch(client, source, tmp_path, None) == CONTENT
    assert source.sent == len(CONTENT) + 1


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_a_checksum_is_enough_to_go_on(
    source: WebSource, client: httpx.Client, tmp_path: Path, etag: str | None
) -> None:
    source.etag = etag
    interrupt(client, source, tmp_path, checksum(CONTENT), 12_345)
    assert fetch(client, source, tmp_path, checksum(CONTENT)) == CONTENT
    assert source.sent == len(CONTENT) - 12_345 + 1


@pytest.mark.parametrize("size", [0, 12_344])
def test_a_file_that_is_shorter_than_what_came_is_fetched_from_its_beginning(
    source: WebSource, client: httpx.Client, tmp_path: Path, size: int
) -> None:
    interrupt(client, source, tmp_path, checksum(CONTENT), 12_345)
    os.truncate(tmp_path / ".file.partial", size)
    assert fetch(client, source, tmp_path, checksum(CONTENT)) == CONTENT
    assert source.sent == len(CONTENT) + 1


def test_a_resumed_file_that_turns_out_wrong_is_fetched_anew(
    source: WebSource, client: httpx.Client, tmp_path: Path
) -> None:
    interrupt(client, source, tmp_path, checksum(CONTENT), 12_345)
    with (tmp_path / ".file.partial").open("r+b") as file:
        file.write(b"lost in a crash")
    assert fetch(client, source, tmp_path, checksum(CONTENT)) == CONTENT


def test_a_volume_that_fills_up_and_is_enlarged_is_gone_on_with(
    source: WebSource, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, write = 12_345, os.pwrite

    def limited(handle: int, data: memoryview, at: int) -> int:
        if at >= room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data[: room - at], at)

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", limited)
        with pytest.raises(GgufError) as caught:
            fetch(client, source, tmp_path, checksum(CONTENT), ranges=1)
    assert caught.value.reason == "NoSpace"
    assert (tmp_path / ".file.partial").stat().st_size == room
    assert fetch(client, source, tmp_path, checksum(CONTENT), ranges=1) == CONTENT


def test_another_wanted_content_does_not_go_on_with_the_old_one(
    source: WebSource, client: httpx.Client, tmp_path: Path
) -> None:
    interrupt(client, source, tmp_path, checksum(CONTENT), 12_345)
    with pytest.raises(GgufError) as caught:
        fetch(client, source, tmp_path, checksum(OTHER))
    assert caught.value.reason == "ChecksumMismatch"
    assert source.sent == len(CONTENT) + 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("state", ["", "[]", '{"identity": 1}', '{"missing": [[5, 1]]}', None])
def test_a_damaged_note_about_what_is_missing_is_not_believed(
    source: WebSource, client: httpx.Client, tmp_path: Path, state: str | None
) -> None:
    interrupt(client, source, tmp_path, checksum(CONTENT), 12_345)
    note = tmp_path / ".file.partial.json"
    known = json.loads(note.read_text())
    note.write_text(json.dumps(known | {"missing": [[0, 10**9]]}) if state is None else state)
    assert fetch(client, source, tmp_path, checksum(CONTENT)) == CONTENT
    assert source.sent == len(CONTENT) + 1


SPANS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=5).map(
    lambda pairs: [Span(min(p) + 1000 * i, max(p) + 1000 * i) for i, p in enumerate(pairs)]
)


@given(spans=SPANS, parts=st.integers(1, 8), smallest=st.integers(1, 500))
def test_splitting_keeps_every_byte_and_adds_none(spans: list[Span], parts: int, smallest: int) -> None:
    found = split(spans, parts, smallest)
    assert missing(found) == missing(spans)
    assert is_valid(found, 5000)
    assert len(found) <= max(parts, len([span for span in spans if span.size]))
    assert {b for s in found for b in range(s.at, s.end)} == {b for s in spans for b in range(s.at, s.end)}


@given(spans=SPANS, size=st.integers(5000, 5001))
def test_the_last_byte_that_is_there_is_known(spans: list[Span], size: int) -> None:
    present = set(range(size)) - {b for s in spans for b in range(s.at, s.end)}
    assert last_present(spans, size) == max(present, default=-1) + 1


@pytest.mark.parametrize("value", ["", "bytes */10", "bytes 5-4/10", "bytes 0-10/10", "lines 0-1/2", "bytes 0-1/*"])
def test_a_content_range_that_says_nothing_is_none(value: str) -> None:
    assert parse_content_range(value) is None


def test_a_content_range_is_read() -> None:
    assert parse_content_range("bytes 2-5/10") == (2, 6, 10)


def test_what_is_missing_is_remembered_for_one_content_only(tmp_path: Path) -> None:
    identity = Identity(10, '"one"', "sha256:0")
    with locked_partial(tmp_path / "file") as partial:
        partial.write(b"0123456789", 0)
        partial.save(identity, [Span(4, 6), Span(10, 10)])
        assert partial.load(identity) == [Span(4, 6)]
        assert partial.load(Identity(10, '"two"', "sha256:0")) == [Span(0, 10)]
        assert partial.path.stat().st_size == 0
