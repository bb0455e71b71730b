"""A real web server on loopback with one file, and with ways to serve it badly."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebSource:
    """Serves `content` under every path that does not begin with /missing."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = '"one"'
        self.ranges = True
        self.sized = True
        self.cuts: list[int | None] = []
        """After how many bytes of the body the connection breaks, for each answer in turn; None: it does not."""
        self.holds: list[int | None] = []
        """After how many bytes of the body the server falls silent until `go_on` and breaks off, for each answer."""
        self.go_on = threading.Event()
        self.statuses: list[int] = []
        """Statuses that are answered first, without a body."""
        self.headers: dict[str, str] = {}
        """Sent with every answer of `statuses`."""
        self.requests: list[tuple[str, str | None]] = []
        """Path and header Range of each request."""
        self.conditions: list[str | None] = []
        """Header If-Range of each request."""
        self.authorizations: list[str | None] = []
        self.sent = 0
        """Bytes of bodies that were sent."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop serving."""
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        source = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                source._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, to: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.requests.append((to.path, to.headers["range"]))
            self.conditions.append(to.headers["if-range"])
            self.authorizations.append(to.headers["authorization"])
            status = self.statuses.pop(0) if self.statuses else 404 if to.path.startswith("/missing") else None
            cut = self.cuts.pop(0) if self.cuts and status is None else None
            hold = self.holds.pop(0) if self.holds and status is None else None
        if status is not None:
            to.send_response(status)
            for name, value in {"content-length": "0", **self.headers}.items():
                to.send_header(name, value)
            to.end_headers()
            return
        self._send(to, cut, hold)

    def _send(self, to: BaseHTTPRequestHandler, cut: int | None, hold: int | None) -> None:
        start, end = self._wanted(to)
        if start == -1:
            to.send_response(416)
            to.send_header("content-range", f"bytes */{len(self.content)}")
            to.send_header("content-length", "0")
            to.end_headers()
            return
        body = self.content[start:end]
        ranged = to.headers["range"] is not None and self.ranges and self._is_current(to)
        to.send_response(206 if ranged else 200)
        if ranged:
            to.send_header("content-range", f"bytes {start}-{end - 1}/{len(self.content)}")
        if self.etag:
            to.send_header("etag", self.etag)
        if self.sized or ranged:
            to.send_header("content-length", str(len(body)))
        else:
            to.close_connection = True
        to.end_headers()
        sent = body if cut is None else body[:cut]
        sent = sent[:hold]
        with self._lock:
            self.sent += len(sent)
        to.wfile.write(sent)
        if hold is not None:
            self.go_on.wait()
            to.close_connection = True
        if cut is not None and cut < len(body):
            to.close_connection = True

    def _wanted(self, to: BaseHTTPRequestHandler) -> tuple[int, int]:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", to.headers["range"] or "")
        if not found or not self.ranges or not self._is_current(to):
            return 0, len(self.content)
        start, end = int(found[1]), int(found[2]) + 1 if found[2] else len(self.content)
        return (-1, -1) if start >= len(self.content) else (start, min(end, len(self.content)))

    def _is_current(self, to: BaseHTTPRequestHandler) -> bool:
        condition = to.headers["if-range"]
        return condition is None or condition == self.etag


@contextmanager
def serving(content: bytes) -> Iterator[WebSource]:
    """A server as long as the block runs."""
    source = WebSource(content)
    try:
        yield source
    finally:
        source.close()
