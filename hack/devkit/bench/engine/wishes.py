"""What clients ask: answers of the fake that name themselves, questions to a real model, and when clients leave."""

import random
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from devkit.bench.engine.asking import Seen, Wish
from devkit.bench.engine.crowd import Crowd
from devkit.bench.engine.programs import Oracle
from devkit.bench.engine.transports import Http1
from devkit.bench.engine.verdict import Expected
from devkit.progress import say

REAL_TOKENS: Final = 16
_STEP: Final = 10
_SUBJECTS: Final = (
    "France", "Japan", "Kenya", "Peru", "winter", "a kitchen", "the sea", "music", "a forest", "a library",
    "a garden", "chess", "bread", "trains", "the moon", "rain", "a market", "paper", "bicycles", "coffee",
)  # fmt: skip
QUESTIONS: Final = tuple(
    question.format(subject)
    for subject in _SUBJECTS
    for question in (
        "Tell me something about {}.",
        "Write one sentence about {}.",
        "Why do people like {}?",
    )
)


def fake_wish(name: str, chance: random.Random) -> Wish:
    """A request to the fake that nobody else makes; some are cut by max_tokens."""
    words = " ".join(f"{name}/{index}" for index in range(chance.randint(1, 60)))
    return _any_way(Wish(name, f"Say it. [[say={words}]]", max_tokens=chance.choice((8, 100))), chance)


def question(name: str, chance: random.Random, questions: Sequence[str]) -> Wish:
    """A request to a real model."""
    return _any_way(Wish(name, chance.choice(questions), REAL_TOKENS), chance)


def _any_way(wish: Wish, chance: random.Random) -> Wish:
    return replace(wish, stream=chance.random() < 0.7, http2=chance.random() < 0.5)


def leaving(wish: Wish, chance: random.Random, longest: float) -> Wish:
    """Let a third leave: after some time, which the queue, the prompt or the answer takes, or after some text."""
    if chance.random() >= 1 / 3:
        return wish
    if wish.stream and chance.random() < 0.5:
        return replace(wish, leave_at=chance.randint(1, 6))
    return replace(wish, leave_after=chance.uniform(0.001, longest))


async def ask_alone(crowd: Crowd, wish: Wish) -> Seen:
    """Ask on a connection of its own."""
    async with aclosing(Http1(crowd.url)) as transport:
        return await crowd.ask(replace(wish, http2=False), transport)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a real model answers when it is asked alone."""

    expected: dict[str, Expected]
    doubts: list[str]
    """Answers whose usage is not what the tokeniser counts."""


async def learn(crowd: Crowd, questions: Sequence[str], oracle: Oracle) -> Lesson:
    """Ask each question alone, at temperature 0."""
    lesson = Lesson({}, [])
    for index, text in enumerate(questions):
        if index % _STEP == _STEP - 1:
            say(f"{index + 1} of {len(questions)} questions")
        seen = await ask_alone(crowd, Wish(f"alone-{index}", text, REAL_TOKENS))
        counts = seen.usage or (0, 0)
        lesson.expected[text] = Expected(seen.text, seen.reason, *counts)
        if oracle.counts_text and counts != oracle.counts(text, seen.parts):
            lesson.doubts.append(f"{seen.request_id}: usage {counts}, the tokeniser {oracle.counts(text, seen.parts)}")
    return lesson
