"""How a client proves to a registry what it may read.

Sources: RFC 7235 (challenges); https://distribution.github.io/distribution/spec/auth/token/ (bearer tokens).
"""

import re
from collections.abc import Generator
from typing import Any, Final

import httpx

from shimmy_engine.fetch.client import is_loopback
from shimmy_engine.fetch.credentials import Login
from shimmy_engine.fetch.retries import check_status
from shimmy_engine.gguf_header import GgufError

_PARAMETER: Final = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class RegistryAuth(httpx.Auth):
    """Answers a registry's challenge with a login, or with a token that it gets for one; renews it when it expires."""

    def __init__(self, proof: Login | str | None, place: str) -> None:
        """`proof` is a login, a bearer token, or None for what everybody may read."""
        self._login = proof if isinstance(proof, Login) else None
        self._place = place
        self._header = f"Bearer {proof}" if isinstance(proof, str) else None

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Try as before, and once more with a new proof where the registry asks for one."""
        if self._header:
            request.headers["authorization"] = self._header
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED or response.url.host != request.url.host:
            return
        scheme, parameters = parse_challenge(response.headers.get("www-authenticate", ""))
        if scheme == "basic" and self._login is not None:
            self._header = self._login.header()
        elif scheme == "bearer" and "realm" in parameters:
            token_response = yield self._token_request(parameters, request.url)
            token_response.read()
            self._header = f"Bearer {self._token(token_response)}"
        else:
            return
        request.headers["authorization"] = self._header
        yield request

    def _token_request(self, parameters: dict[str, str], registry: httpx.URL) -> httpx.Request:
        realm = httpx.URL(parameters["realm"])
        query: dict[str, Any] = {name: parameters[name] for name in ("service", "scope") if name in parameters}
        headers = {}
        if self._login is not None:
            if realm.scheme != "https" and registry.scheme == "https" and not is_loopback(realm.host):
                message = f"{self._place} wants the password to be sent to {realm.host} without encryption"
                raise GgufError("AccessDenied", message)
            headers["authorization"] = self._login.header()
        return httpx.Request("GET", realm.copy_merge_params(query), headers=headers)

    def _token(self, response: httpx.Response) -> str:
        check_status(response, f"the token server of {self._place}", httpx.codes.OK)
        try:
            answer: Any = response.json()
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise GgufError("AccessDenied", f"the token server of {self._place} answered without a token") from error


def parse_challenge(header: str) -> tuple[str, dict[str, str]]:
    """Scheme, in lower case, and parameters of the first challenge of a header WWW-Authenticate."""
    scheme, _, rest = header.strip().partition(" ")
    found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
    return scheme.lower(), found
