"""Answers of the API server: believed for seconds, and for minutes while nobody can say anything new.

While the API server is away, routers must go on reporting and autoscalers reading: a fleet that cannot scale because
nobody can say again who its routers are would be the greater harm. Who lost a right meanwhile keeps it for KEPT_SECONDS
at most; who was never believed is not.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from shimmy_meter.kube import UnavailableError

FRESH_SECONDS: Final = 10.0
"""As long as k8s.io/apiserver believes an answer (pkg/server/options/authorization.go)."""
KEPT_SECONDS: Final = 300.0
"""Since the last answer."""
_PATIENCE: Final = 1.0
"""Seconds to wait for a new answer where there is an old one: a router that waits longer would count as silent."""
_MOST: Final = 4096
"""Answers that are kept."""

Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Belief(Generic[Answer]):
    answer: Answer
    said: float
    again: float
    """When to ask again."""


class Beliefs(Generic[Question, Answer]):
    """Remembers answers, those that were given last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Question, _Belief[Answer]] = {}

    async def of(self, question: Question, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer to a question.

        Raises:
            UnavailableError: nobody can say, and nobody has said for KEPT_SECONDS.
        """
        known = self._known.get(question)
        if known is None:
            return self._keep(question, await ask())
        if self._clock() < known.again:
            return known.answer
        try:
            async with asyncio.timeout(_PATIENCE):
                return self._keep(question, await ask())
        except (UnavailableError, TimeoutError) as error:
            now = self._clock()
            if now - known.said >= KEPT_SECONDS:
                self._known.pop(question, None)
                raise UnavailableError(f"no answer for {KEPT_SECONDS:.0f} s") from error
            known.again = now + FRESH_SECONDS
            return known.answer

    def _keep(self, question: Question, answer: Answer) -> Answer:
        now = self._clock()
        self._known.pop(question, None)
        self._known[question] = _Belief(answer, now, now + FRESH_SECONDS)
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return answer
