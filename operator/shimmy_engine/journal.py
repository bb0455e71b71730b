"""The usage journal: what was used, kept on disk until a meter has acknowledged it.

Layout: a file of JSON lines. The first names the journal and its next sequence number at the time of writing; the rest
are records. A record is written and handed to the kernel before the answer's last byte goes out, so it survives any end
of this process. It is not fsynced: the folder is an emptyDir, which a crash of the node takes along anyway.
"""

import asyncio
import json
import logging
import uuid
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic import ValidationError

from shimmy_api.usage import JournalPage, UsageRecord

log = logging.getLogger(__name__)

MAX_RECORDS: Final = 100_000
"""Unacknowledged records kept (about 40 MB); beyond it the oldest are lost and counted."""
_SLACK: Final = 2_000
"""Lines of acknowledged records that the file may hold before it is written anew."""


class Journal:
    """Appends, pages and forgets usage records."""

    def __init__(self, path: Path, *, limit: int = MAX_RECORDS) -> None:
        """Open the journal at `path`, with what an earlier process of this pod left there."""
        self._path = path
        self._limit = limit
        self._records: deque[UsageRecord] = deque()
        self._next = 1
        self._stale = 0
        self.id = str(uuid.uuid4())
        self.dropped = 0
        """Records lost to the bound since the start."""
        self._acknowledged = asyncio.Event()
        self.pulled = False
        """Whether a meter has ever pulled from this journal in this process."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._load(path.read_bytes())
        self._file = self._rewrite()
        self._note()

    @property
    def unacknowledged(self) -> int:
        """Records that no meter has confirmed."""
        return len(self._records)

    def append(self, **fields: Any) -> UsageRecord:
        """Add a record; `fields` are those of UsageRecord without seq."""
        record = UsageRecord(seq=self._next, **fields)
        self._next += 1
        self._records.append(record)
        try:
            self._file.write(_line(record))
        except OSError as error:  # a full volume must not end the answers; the record is kept in memory
            log.error("a usage record is not on disk: %s", error.strerror)
        if len(self._records) > self._limit:
            self._records.popleft()
            self.dropped += 1
            self._forgotten(1)
        self._note()
        return record

    def page(self, *, ack: int, limit: int) -> JournalPage:
        """Forget the records up to `ack` and return the oldest `limit` of the rest."""
        self.pulled = True
        before = len(self._records)
        while self._records and self._records[0].seq <= ack:
            self._records.popleft()
        self._forgotten(before - len(self._records))
        self._note()
        count = min(limit, len(self._records))
        records = tuple(self._records[index] for index in range(count))
        return JournalPage(journal=self.id, records=records, remaining=len(self._records) - count)

    async def wait_acknowledged(self) -> None:
        """Return when a meter has confirmed every record."""
        await self._acknowledged.wait()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note(self) -> None:
        """Keep the event in step with the records."""
        if self._records:
            self._acknowledged.clear()
        else:
            self._acknowledged.set()

    def _forgotten(self, count: int) -> None:
        self._stale += count
        if self._stale > _SLACK:
            self._file.close()
            self._file = self._rewrite()

    def _load(self, content: bytes) -> None:
        """Read what is there up to the first damaged line: a crash can only have torn the last one."""
        head, *lines = content.split(b"\n")
        try:
            values = json.loads(head)
            self.id, self._next = str(values["journal"]), int(values["next"])
        except (ValueError, KeyError, TypeError):
            log.warning("the journal's first line is damaged: starting a new journal")
            return
        for line in lines:
            try:
                record = UsageRecord.model_validate_json(line)
            except ValidationError:
                break
            self._records.append(record)
            self._next = record.seq + 1

    def _rewrite(self) -> BinaryIO:
        """Replace the file by one with the records that count, and open that for appending, unbuffered."""
        partial = self._path.with_suffix(".partial")
        head = json.dumps({"journal": self.id, "next": self._next}).encode() + b"\n"
        with partial.open("wb") as file:
            file.write(head)
            file.writelines(_line(record) for record in self._records)
        partial.replace(self._path)
        self._stale = 0
        return self._path.open("ab", buffering=0)


def _line(record: UsageRecord) -> bytes:
    return record.model_dump_json(by_alias=True).encode() + b"\n"
