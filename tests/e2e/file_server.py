"""A file server as it runs in a pod, by `python3 -c`: /models on two ports.

/private/ wants a token. /slow/ knows ranges, and falls silent after half of one until /go was asked for.
"""

import functools
import http.server
import pathlib
import threading

TOKEN = "a-token"
PORTS = (8000, 8001)
go = threading.Event()


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/go":
            go.set()
            self.send_error(204)
        elif self.path.startswith("/slow/"):
            self._send_part(pathlib.Path("/models", pathlib.Path(self.path).name).read_bytes())
        elif self.path.startswith("/private/") and self.headers["authorization"] != f"Bearer {TOKEN}":
            self.send_error(401)
        else:
            self.path = self.path.removeprefix("/private")
            super().do_GET()

    def _send_part(self, content: bytes) -> None:
        start, last = (int(number) for number in self.headers["range"].removeprefix("bytes=").split("-"))
        end = last + 1
        self.send_response(206)
        self.send_header("content-range", f"bytes {start}-{end - 1}/{len(content)}")
        self.send_header("content-length", str(end - start))
        self.end_headers()
        middle = end if end - start == 1 else (start + end) // 2
        self.wfile.write(content[start:middle])
        if middle < end:
            go.wait()
        self.wfile.write(content[middle:end])


if __name__ == "__main__":
    for port in PORTS:
        handler = functools.partial(Handler, directory="/models")
        threading.Thread(target=http.server.ThreadingHTTPServer(("", port), handler).serve_forever).start()
