import hashlib
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.fakes.shimmy import toy_gguf

from shimmy_engine.fetching import fetch_file
from shimmy_engine.gguf_header import GgufError


class Source:
    """A web server with one file, and with ways to serve it badly."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.requests: list[str] = []
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                source.requests.append(self.path)
                source.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        if to.path.startswith("/missing"):
            to.send_error(404)
            return
        if to.path == "/moved.gguf":
            to.send_response(302)
            to.send_header("location", "/model.gguf")
            to.end_headers()
            return
        to.send_response(200)
        if to.path != "/unsized.gguf":
            to.send_header("content-length", str(len(self.content)))
        to.end_headers()
        to.wfile.write(self.content[:100] if to.path == "/cut.gguf" else self.content)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    served = Source(toy_gguf.write(tmp_path / "source.gguf").read_bytes())
    yield served
    served.close()


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "volume" / "models" / "model.gguf"


def digest(source: Source) -> str:
    return hashlib.sha256(source.content).hexdigest()


def refused(url: str, destination: Path, sha256: str, **options: int) -> GgufError:
    with pytest.raises(GgufError) as caught:
        fetch_file(url, destination, sha256, **options)
    assert not destination.exists()
    assert not list(destination.parent.glob(".*")), "something half-written was left behind"
    return caught.value


@pytest.mark.parametrize("path", ["/model.gguf", "/moved.gguf", "/unsized.gguf"])
def test_a_file_is_fetched_whole(source: Source, destination: Path, path: str) -> None:
    result = fetch_file(source.url + path, destination, digest(source))
    assert destination.read_bytes() == source.content
    assert result.sha256 == digest(source)
    assert [entry.name for entry in destination.parent.iterdir()] == ["model.gguf"]


def test_a_file_that_is_there_is_not_fetched_again(source: Source, destination: Path) -> None:
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert len(source.requests) == 1


def test_a_wrong_file_that_is_there_is_replaced(source: Source, destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    destination.write_bytes(b"old")
    fetch_file(f"{source.url}/model.gguf", destination, digest(source))
    assert destination.read_bytes() == source.content


def test_a_file_with_another_digest_is_not_kept(source: Source, destination: Path) -> None:
    assert refused(f"{source.url}/model.gguf", destination, "0" * 64).reason == "ChecksumMismatch"


def test_a_file_of_another_kind_is_not_kept(source: Source, destination: Path) -> None:
    source.content = b"<html>log in first</html>"
    assert refused(f"{source.url}/model.gguf", destination, digest(source)).reason == "NotGguf"


def test_a_transfer_that_breaks_off_is_not_kept(source: Source, destination: Path) -> None:
    assert refused(f"{source.url}/cut.gguf", destination, digest(source)).reason == "SourceUnreachable"


def test_a_source_that_refuses_is_told_without_what_may_be_secret(source: Source, destination: Path) -> None:
    error = refused(f"{source.url}/missing.gguf?token=secret", destination, digest(source))
    assert error.reason == "SourceUnreachable"
    assert "status 404" in error.message
    assert "secret" not in error.message


def test_nobody_at_the_address_is_told(destination: Path) -> None:
    assert refused("http://127.0.0.1:1/model.gguf", destination, "0" * 64).reason == "SourceUnreachable"


@pytest.mark.parametrize("path", ["/model.gguf", "/unsized.gguf"])
def test_a_file_past_the_cap_is_not_fetched(source: Source, destination: Path, path: str) -> None:
    assert refused(source.url + path, destination, digest(source), max_bytes=1000).reason == "TooLarge"


def test_a_volume_without_room_is_told_before_anything_is_written(
    source: Source, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    error = refused(f"{source.url}/model.gguf", destination, digest(source))
    assert (error.reason, "only 10 are free" in error.message) == ("NoSpace", True)
