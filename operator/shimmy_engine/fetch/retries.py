"""Which failures of a transfer pass, and how long to wait for that."""

import logging
import random
import ssl
import time
from typing import Final

import httpx

from shimmy_engine.gguf_header import GgufError

log = logging.getLogger(__name__)

_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another try may not meet again (RFC 9110, RFC 6585, RFC 8470)."""
_DENIED: Final = frozenset({401, 403, 407})
_GONE: Final = frozenset({404, 410})
_IN_A_ROW: Final = 5
_IN_ALL: Final = 50
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_LONGEST_REASON: Final = 300


class PassingError(Exception):
    """The source failed in a way that may pass. The text holds no secret."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        """`wait` is what the server asks for, in seconds."""
        super().__init__(message)
        self.wait = wait


def check_status(response: httpx.Response, place: str, *allowed: int) -> None:
    """Turn a bad status into an error; `place` names the source without secrets.

    Raises:
        PassingError: another try may help.
        GgufError: AccessDenied, SourceMissing or SourceUnreachable.
    """
    status = response.status_code
    if status in allowed:
        return
    text = f"{place} answered with status {status}{_explanation(response)}"
    if status in _PASSING:
        raise PassingError(text, _asked_wait(response))
    if status in _DENIED:
        raise GgufError("AccessDenied", text)
    raise GgufError("SourceMissing" if status in _GONE else "SourceUnreachable", text)


def _explanation(response: httpx.Response) -> str:
    """What Hugging Face and S3 say in headers.

    Sources: huggingface_hub, utils/_http.py, hf_raise_for_status; Amazon S3 API Reference, HeadBucket.
    """
    said = response.headers.get("x-error-message", "")[:_LONGEST_REASON]
    region = response.headers.get("x-amz-bucket-region", "")[:_LONGEST_REASON]
    return (f": {said}" if said else "") + (f": the bucket is in region {region}" if region else "")


def network_error(error: Exception, place: str) -> PassingError | GgufError:
    """What a failure of the HTTP client means."""
    text = f"{place}: {type(error).__name__}: {error}"
    if _is_distrust(error):
        return GgufError("SourceUntrusted", f"{text}. If the certificate is good, its authority must be made known.")
    if isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol):
        return PassingError(text)
    return GgufError("SourceUnreachable", text)


def _is_distrust(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _asked_wait(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return min(float(value), _LONGEST_WAIT) if value.isdecimal() else None


class Retries:
    """Counts failures of one transfer, and waits ever longer between its tries."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._in_all = 0

    def failed(self, error: PassingError, *, advanced: bool) -> None:
        """Wait for the next try; `advanced` tells whether the last one brought something new.

        Raises:
            GgufError: SourceUnreachable, there were tries enough.
        """
        self._in_a_row = 1 if advanced else self._in_a_row + 1
        self._in_all += 1
        if self._in_a_row >= _IN_A_ROW or self._in_all >= _IN_ALL:
            raise GgufError("SourceUnreachable", f"{error} (after {self._in_all} tries)") from error
        wait = _FIRST_WAIT * 2 ** (self._in_a_row - 1)
        wait = min(wait, _LONGEST_WAIT) * random.uniform(0.5, 1)  # noqa: S311 - keeps many Jobs from one rhythm
        wait = wait if error.wait is None else error.wait
        log.warning("%s; trying again in %.1f s", error, wait)
        time.sleep(wait)
