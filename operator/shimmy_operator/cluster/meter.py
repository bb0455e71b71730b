"""The metrics server, as far as the operator asks it."""

import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
from pydantic import ValidationError

from shimmy_api.load import LOADS_PATH, LoadTotals

_SECONDS: Final = 2.0


class MeterError(Exception):
    """The metrics server cannot be asked, or said something else; the message says what, without the token."""


class Meter:
    """Reads what models have to do, over all routers."""

    def __init__(self, session: aiohttp.ClientSession, url: str, folder: Path, server_name: str) -> None:
        """`folder` has `ca.crt` and `token`, which are read again for each request: the kubelet replaces them."""
        self._session = session
        self._url = url.rstrip("/") + LOADS_PATH
        self._folder = folder
        self._server_name = server_name
        self._authority = ""
        self._tls: ssl.SSLContext | None = None

    async def loads(self) -> LoadTotals:
        """All that the metrics server knows now.

        Raises:
            MeterError: it did not tell.
        """
        try:
            token, tls = self._credentials()
            async with self._session.get(
                self._url,
                headers={"Authorization": f"Bearer {token}"},
                ssl=tls,
                server_hostname=self._server_name,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
            ) as answer:
                body = await answer.read()
                if answer.status != HTTPStatus.OK:
                    raise MeterError(f"{self._url} answers {answer.status}")
            return LoadTotals.model_validate_json(body)
        except ValidationError as error:
            raise MeterError(f"{self._url} answers what is no load: {error.error_count()} mistakes") from error
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise MeterError(f"{type(error).__name__}: {error}") from error

    def _credentials(self) -> tuple[str, ssl.SSLContext]:
        token = (self._folder / "token").read_text(encoding="ascii").strip()
        authority = (self._folder / "ca.crt").read_text(encoding="ascii")
        if self._tls is None or authority != self._authority:
            self._tls, self._authority = ssl.create_default_context(cadata=authority), authority
        return token, self._tls
