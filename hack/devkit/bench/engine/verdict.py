"""What is wrong with a load's answers and accounts: lost, doubled, mixed up, miscounted. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from devkit.bench.engine.asking import Counts, Seen
from shimmy_api import headers
from shimmy_api.usage import UsageRecord

REFUSALS: Final = frozenset({"queue_full", "model_unavailable", "draining"})
"""Errors that say: nothing was begun, try again."""
FAILURES: Final = frozenset({"engine_failed"})
"""Errors that say: it was begun and broke off."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The whole answer to a prompt."""

    text: str
    reason: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def counts(self) -> Counts:
        """Both numbers."""
        return self.prompt_tokens, self.completion_tokens


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known after a load."""

    seen: Sequence[Seen]
    records: Sequence[UsageRecord]
    """The whole journal, in the order in which it was pulled."""
    expected: Mapping[str, Expected]
    """By prompt."""
    produced: Mapping[str, Sequence[int]] | None = None
    """By prompt: tokens of each generation that the engine says it began. None where it keeps no account."""
    failures: bool = False
    """Whether answers may fail, because the engine was killed."""


def faults(evidence: Evidence) -> list[str]:
    """Each thing that must not be, in words; an empty list is the pass."""
    by_request: dict[str, list[UsageRecord]] = {}
    for record in evidence.records:
        by_request.setdefault(record.request_id, []).append(record)
    found = [*_journal(evidence.seen, evidence.records)]
    for seen in evidence.seen:
        expected, records = evidence.expected[seen.wish.prompt], by_request.get(seen.request_id, [])
        problems = [*_answer(seen, expected, failures=evidence.failures), *_account(seen, expected, records)]
        if evidence.produced is not None and seen.code not in REFUSALS:
            problems += _engine(records, evidence.produced.get(seen.wish.prompt, ()))
        found += [f"{seen.request_id}: {problem}" for problem in problems]
    return found


def _journal(seen: Iterable[Seen], records: Sequence[UsageRecord]) -> Iterable[str]:
    """The journal as a whole: every number once, every request once, nobody else's."""
    numbers = [record.seq for record in records]
    if any(later != number + 1 for number, later in pairwise(numbers)):
        yield "the journal's sequence numbers have gaps or repetitions"
    asked = {each.request_id for each in seen}
    for request, count in Counter(record.request_id for record in records).items():
        if request not in asked:
            yield f"{request}: in the journal, but nobody asked it"
        elif count > 1:
            yield f"{request}: {count} times in the journal"


def _answer(seen: Seen, expected: Expected, *, failures: bool) -> Iterable[str]:
    """The answer: whole and its own, or a clean error, or the beginning of its own."""
    if seen.broken:
        yield f"neither an answer nor an error: {seen.broken}"
    if seen.status and seen.fields.get(headers.REQUEST_ID) != seen.request_id:
        yield "the answer carries another request's id"
    if seen.code in REFUSALS:
        if int(seen.fields.get("retry-after", "0")) < 1:
            yield f"{seen.code} without Retry-After"
    elif seen.code and not (failures and seen.code in FAILURES):
        yield f"failed with {seen.code}"
    if not expected.text.startswith(seen.text):
        yield "text of another answer"
    if seen.done and not seen.left:
        yield from _whole(seen, expected)


def _whole(seen: Seen, expected: Expected) -> Iterable[str]:
    if seen.text != expected.text:
        yield f"{len(seen.text)} of {len(expected.text)} characters of its answer"
    if seen.reason != expected.reason:
        yield f"finish reason {seen.reason}, not {expected.reason}"
    if seen.usage != expected.counts:
        yield f"usage {seen.usage}, not {expected.counts}"
    can_say = seen.wish.http2 or not seen.wish.stream
    if seen.counted != (seen.usage if can_say else None):
        yield f"headers or trailers say {seen.counted}, the body {seen.usage}"


def _account(seen: Seen, expected: Expected, records: Sequence[UsageRecord]) -> Iterable[str]:
    """The journal about this request."""
    if seen.text and not records:
        yield "text came, but the journal knows nothing of it"
    if (seen.code in REFUSALS) and records:
        yield "refused, but in the journal"
    for record in records:
        counts = record.prompt_tokens, record.completion_tokens
        whole = seen.done and not seen.left
        if whole and (record.outcome, counts) != ("completed", expected.counts):
            yield f"the journal says {record.outcome} {counts}, not completed {expected.counts}"
        if record.prompt_tokens != expected.prompt_tokens:
            yield f"the journal says {record.prompt_tokens} prompt tokens, not {expected.prompt_tokens}"
        if not seen.pieces <= record.completion_tokens <= expected.completion_tokens and seen.wish.stream:
            yield f"{seen.pieces} tokens were seen, the journal says {record.completion_tokens}"
        if seen.code in FAILURES and record.outcome != "failed":
            yield f"failed, but {record.outcome} in the journal"


def _engine(records: Sequence[UsageRecord], produced: Sequence[int]) -> Iterable[str]:
    """What the engine says of this prompt, which one client alone has."""
    never_arrived = not produced and all(_failed_empty(record) for record in records)
    if len(produced) != len(records) and not never_arrived:
        yield f"{len(produced)} generations in the engine, {len(records)} in the journal"
        return
    for record, tokens in zip(records, produced, strict=False):
        lost_in_kill = record.outcome == "failed" and record.completion_tokens <= tokens
        if record.completion_tokens != tokens and not lost_in_kill:
            yield f"the engine produced {tokens} tokens, the journal says {record.completion_tokens}"


def _failed_empty(record: UsageRecord) -> bool:
    return record.outcome == "failed" and not record.completion_tokens
