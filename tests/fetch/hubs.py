"""A hub as small as fetching needs: the listing of a repository, and its files.

Held to the real thing by huggingface_hub itself, which must understand it (test_hub.py).
Sources: https://huggingface.co/docs/hub/api; huggingface_hub 2.4, hf_api.py and file_download.py.
"""

import hashlib
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import unquote, urlsplit

from tests.fakes.web import WebSource

from devkit.pki import Pair

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
TOKEN: Final = "hf_a_token"
REPOSITORY: Final = "org/tiny"
_LARGE: Final = (".gguf", ".safetensors")
"""What the hub keeps with Git LFS: it is served from another host, and its SHA-256 is told."""


class Hub:
    """One repository with one commit. Large files are redirected to `storage`."""

    def __init__(self, files: dict[str, bytes], pair: Pair | None = None) -> None:
        self.files = files
        self.private = False
        self.requests: list[str] = []
        self.storage = WebSource(b"")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"{'https' if pair else 'http'}://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.storage.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub._answer(self)

            def do_HEAD(self) -> None:
                hub._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, to: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(to.path).path)
        self.requests.append(path)
        if self.private and to.headers["authorization"] != f"Bearer {TOKEN}":
            _send(to, 401, b"", {"x-error-message": "Invalid username or password."})
        elif path in (f"/api/models/{REPOSITORY}/revision/{name}" for name in ("main", COMMIT)):
            _send(to, 200, json.dumps(self._listing()).encode(), {"content-type": "application/json"})
        elif found := re.fullmatch(f"/{REPOSITORY}/resolve/{COMMIT}/(.+)", path):
            self._resolve(to, found[1])
        else:
            _send(to, 404, b"", {"x-error-code": "RepoNotFound", "x-error-message": "Repository not found"})

    def _listing(self) -> dict[str, object]:
        return {"id": REPOSITORY, "sha": COMMIT, "siblings": [_sibling(*file) for file in self.files.items()]}

    def _resolve(self, to: BaseHTTPRequestHandler, name: str) -> None:
        content = self.files.get(name)
        if content is None:
            _send(to, 404, b"", {"x-error-code": "EntryNotFound", "x-error-message": "Entry not found"})
            return
        known = {"x-repo-commit": COMMIT, "etag": f'"{_blob_id(content)}"'}
        if name.endswith(_LARGE):
            self.storage.content = content
            digest = hashlib.sha256(content).hexdigest()
            known |= {"x-linked-etag": f'"{digest}"', "x-linked-size": str(len(content))}
            _send(to, 302, b"", known | {"location": f"{self.storage.url}/{digest}?Signature=secret"})
        else:
            _send(to, 200, content, known)


def _sibling(name: str, content: bytes) -> dict[str, object]:
    found: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": _blob_id(content)}
    if name.endswith(_LARGE):
        digest = hashlib.sha256(content).hexdigest()
        found["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
    return found


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _send(to: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    to.send_response(status)
    for name, value in {"content-length": str(len(body)), **headers}.items():
        to.send_header(name, value)
    to.end_headers()
    if to.command == "GET":
        to.wfile.write(body)


@contextmanager
def hub(files: dict[str, bytes], pair: Pair | None = None) -> Iterator[Hub]:
    """A hub as long as the block runs."""
    running = Hub(files, pair)
    try:
        yield running
    finally:
        running.close()
