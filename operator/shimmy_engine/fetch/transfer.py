"""Transfers a file by HTTP into a partial file: in several ranges at once, and going on where an earlier try ended.

A first request asks for one byte. A server that knows ranges (RFC 9110, 14) answers with 206 and the size; any other
sends the whole file, which is then taken as it comes and cannot be resumed.
"""

import contextlib
import logging
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from shimmy_engine.fetch.partial import Identity, Partial
from shimmy_engine.fetch.remote import Remote
from shimmy_engine.fetch.retries import PassingError, Retries, check_status, network_error
from shimmy_engine.fetch.spans import Span, missing, parse_content_range, split
from shimmy_engine.gguf_header import GgufError
from shimmy_engine.progress import Progress

log = logging.getLogger(__name__)

MAX_BYTES: Final = 2 << 40
"""Largest file that is fetched, unless told otherwise: 2 TiB."""
CONNECTIONS: Final = 4
"""Ranges that are fetched at once, unless told otherwise."""
_SMALLEST: Final = 8 << 20
"""Below this size another connection costs more than it brings."""
_SAVE_SECONDS: Final = 1.0
_RESTARTS: Final = 3
_PLAIN: Final = {"accept-encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be fetched, and how."""

    max_bytes: int = MAX_BYTES
    connections: int = CONNECTIONS


class _ChangedError(Exception):
    """The content at the source is not the one that the transfer began with."""


def transfer(client: httpx.Client, remote: Remote, partial: Partial, bounds: Bounds, retries: Retries) -> bool:
    """Fill `partial` with the whole content; returns whether an earlier try's bytes are part of it.

    Raises:
        GgufError: AccessDenied, SourceMissing, SourceUnreachable, TooLarge or NoSpace.
        OSError: the volume cannot be written.
    """
    for _ in range(_RESTARTS):
        try:
            return _Transfer(client, remote, partial, bounds, retries).run()
        except _ChangedError:
            log.warning("%s changed while it was fetched; beginning anew", remote.place)
            partial.reset()
    raise GgufError("SourceUnreachable", f"{remote.place} changes again and again")


class _Transfer:
    def __init__(
        self, client: httpx.Client, remote: Remote, partial: Partial, bounds: Bounds, retries: Retries
    ) -> None:
        self._client = client
        self._remote = remote
        self._partial = partial
        self._bounds = bounds
        self._retries = retries
        self._failed = threading.Event()

    def run(self) -> bool:
        while True:
            try:
                identity = self._begin()
                break
            except PassingError as error:
                self._retries.failed(error, advanced=False)
        return identity is not None and self._fetch_missing(identity)

    def _begin(self) -> Identity | None:
        """Learn what the server has; None if it sent the whole file at once."""
        with self._request({"range": "bytes=0-0"}) as response:
            if response.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                check_status(response, self._remote.place, httpx.codes.OK, httpx.codes.PARTIAL_CONTENT)
                found = _identity(response, self._remote)
                if found is not None:
                    return found
                if response.status_code == httpx.codes.OK:
                    self._take_whole(response)
                    return None
        # An empty file has no first byte, and a range of a compressed answer is none of the file.
        with self._request({}) as response:
            check_status(response, self._remote.place, httpx.codes.OK)
            self._take_whole(response)
        return None

    def _take_whole(self, response: httpx.Response) -> None:
        self._partial.reset()
        length = response.headers.get("content-length", "")
        known = length.isdecimal() and not response.headers.get("content-encoding")
        total = int(length) if known else None
        check_room(self._partial.path.parent, total or 0, total or 0, self._bounds)
        progress = Progress("fetched", total)
        for chunk in response.iter_bytes():
            if progress.done + len(chunk) > self._bounds.max_bytes:
                raise _too_large(f"more than {self._bounds.max_bytes}", self._bounds)
            self._partial.write(chunk, progress.done)
            progress.add(len(chunk))

    def _fetch_missing(self, identity: Identity) -> bool:
        spans = self._partial.load(identity)
        before = identity.size - missing(spans)
        check_room(self._partial.path.parent, identity.size, missing(spans), self._bounds)
        if before:
            log.info("going on: %.0f of %.0f MB are there", before / 1e6, identity.size / 1e6)
        progress = Progress("fetched", identity.size, before)
        while left := missing(spans):
            spans = split(spans, self._bounds.connections, _SMALLEST)
            error = self._fetch_spans(spans, identity, progress)
            if missing(spans):
                ended = PassingError(f"{self._remote.place} ended its answer too soon")
                self._retries.failed(error or ended, advanced=missing(spans) < left)
        return before > 0

    def _fetch_spans(self, spans: list[Span], identity: Identity, progress: Progress) -> PassingError | None:
        """Fetch all spans at once, each as far as it goes; returns one of the failures that may pass."""
        with ThreadPoolExecutor(len(spans), "fetch") as pool:
            workers = [pool.submit(self._fetch_span, span, identity) for span in spans]
            try:
                pending: set[Future[None]] = set(workers)
                while pending:
                    _, pending = wait(pending, _SAVE_SECONDS)
                    progress.reach(identity.size - missing(spans))
                    self._partial.save(identity, spans)
            finally:
                self._failed.set()  # nobody waits for workers that are still at it
        self._failed.clear()
        errors = [error for worker in workers if (error := worker.exception()) is not None]
        for error in errors:
            if not isinstance(error, PassingError):
                raise error
        return next((error for error in errors if isinstance(error, PassingError)), None)

    def _fetch_span(self, span: Span, identity: Identity) -> None:
        try:
            self._read_span(span, identity)
        except PassingError:
            raise  # the others may go on
        except BaseException:
            self._failed.set()
            raise

    def _read_span(self, span: Span, identity: Identity) -> None:
        condition = {"if-range": identity.validator} if _is_strong(identity.validator) else {}
        with self._request({"range": f"bytes={span.at}-{span.end - 1}", **condition}) as response:
            if response.status_code in (httpx.codes.OK, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE):
                raise _ChangedError
            check_status(response, self._remote.place, httpx.codes.PARTIAL_CONTENT)
            place = parse_content_range(response.headers.get("content-range", ""))
            if _identity(response, self._remote) != identity or place is None or place[0] != span.at:
                raise _ChangedError
            for chunk in response.iter_raw():  # as they come: what a chunk waits for is lost with the connection
                wanted = chunk[: span.size]
                self._partial.write(wanted, span.at)
                span.at += len(wanted)
                if not span.size or self._failed.is_set():
                    return

    @contextlib.contextmanager
    def _request(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """One answer of the source.

        Raises:
            PassingError: the network failed, now or while the answer was read.
            GgufError: SourceUnreachable, in a way that will not pass.
        """
        auth = self._remote.auth or httpx.USE_CLIENT_DEFAULT
        try:
            with self._client.stream(
                "GET", self._remote.address(), headers={**_PLAIN, **headers}, auth=auth
            ) as response:
                yield response
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise network_error(error, self._remote.place) from error


def check_room(folder: Path, size: int, needed: int, bounds: Bounds) -> None:
    """Refuse at once what cannot end well: `size` bytes of which `needed` are still to be written into `folder`.

    Raises:
        GgufError: TooLarge or NoSpace.
    """
    if size > bounds.max_bytes:
        raise _too_large(str(size), bounds)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise GgufError("NoSpace", f"{needed} bytes are to be written, but only {free} are free on the volume")


def _identity(response: httpx.Response, remote: Remote) -> Identity | None:
    """What an answer to a range says of the whole; None where it is no part of the plain file."""
    place = parse_content_range(response.headers.get("content-range", ""))
    if response.status_code != httpx.codes.PARTIAL_CONTENT or place is None:
        return None
    if response.headers.get("content-encoding", "identity") != "identity":
        return None
    validator = response.headers.get("etag") or response.headers.get("last-modified") or ""
    return Identity(place[2], validator, str(remote.checksum or ""))


def _is_strong(validator: str) -> bool:
    """Whether If-Range may carry it (RFC 9110, 13.1.5): a strong ETag."""
    return validator.startswith('"')


def _too_large(size: str, bounds: Bounds) -> GgufError:
    return GgufError("TooLarge", f"there are {size} bytes; at most {bounds.max_bytes} are allowed")
