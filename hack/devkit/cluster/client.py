"""Plain requests to a development cluster's API server."""

import json
import ssl
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any


class ApiError(Exception):
    """The API server refused a request.

    Attributes:
        code: HTTP status.
        message: what the server said.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Client:
    """Speaks JSON with one API server as one user."""

    def __init__(self, server: str, tls: ssl.SSLContext) -> None:
        self._server = server
        # No proxy of the environment: the server is on this machine.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )

    def text(
        self,
        path: str,
        method: str = "GET",
        body: object = None,
        content_type: str = "application/json",
        timeout: float = 10,
    ) -> str:
        """The body of the answer.

        Raises:
            ApiError: the server answered with an error.
            OSError: it cannot be reached.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the URL begins with https
            self._server + path, data, {"Content-Type": content_type}, method=method
        )
        try:
            with self._opener.open(request, timeout=timeout) as response:
                read: bytes = response.read()
                return read.decode()
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(error.code, error.read().decode(errors="replace")) from error

    def json(self, path: str, method: str = "GET", body: object = None, content_type: str = "application/json") -> Any:
        """The answer as JSON; errors as in `text`."""
        return json.loads(self.text(path, method, body, content_type))

    def find(self, path: str) -> Any:
        """The object at `path`, or None where there is none; errors as in `text`."""
        try:
            return self.json(path)
        except ApiError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise
