import asyncio

import pytest

from shimmy_meter import beliefs
from shimmy_meter.beliefs import FRESH_SECONDS, KEPT_SECONDS, Beliefs
from shimmy_meter.kube import UnavailableError


class Oracle:
    """An API server that answers, is away, or does not answer."""

    def __init__(self) -> None:
        self.answer = "yes"
        self.away = self.silent = False
        self.asked = 0
        self.now = 0.0
        self.beliefs: Beliefs[str, str] = Beliefs(lambda: self.now)

    async def ask(self) -> str:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise UnavailableError("503")
        return self.answer

    async def of(self, question: str = "who") -> str:
        return await self.beliefs.of(question, self.ask)


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


async def test_an_answer_is_believed_for_seconds(oracle: Oracle) -> None:
    assert await oracle.of() == "yes"
    oracle.answer = "no"
    assert await oracle.of() == "yes"
    oracle.now = FRESH_SECONDS
    assert await oracle.of() == "no"
    assert oracle.asked == 2


async def test_what_was_believed_is_believed_while_nobody_can_say(oracle: Oracle) -> None:
    await oracle.of()
    oracle.away = True
    for second in range(int(KEPT_SECONDS)):
        oracle.now = second
        assert await oracle.of() == "yes"
    assert oracle.asked == KEPT_SECONDS / FRESH_SECONDS
    oracle.now = KEPT_SECONDS
    with pytest.raises(UnavailableError):
        await oracle.of()
    oracle.away = False
    assert await oracle.of() == "yes"


async def test_an_api_server_that_is_back_is_asked_soon(oracle: Oracle) -> None:
    await oracle.of()
    oracle.away, oracle.now = True, FRESH_SECONDS
    await oracle.of()
    oracle.away, oracle.answer, oracle.now = False, "no", 2 * FRESH_SECONDS
    assert await oracle.of() == "no"


async def test_one_that_does_not_answer_delays_once(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beliefs, "_PATIENCE", 0)
    await oracle.of()
    oracle.silent, oracle.now = True, FRESH_SECONDS
    assert [await oracle.of(), await oracle.of()] == ["yes", "yes"]
    assert oracle.asked <= 2


async def test_who_was_never_believed_is_not(oracle: Oracle) -> None:
    oracle.away = True
    with pytest.raises(UnavailableError):
        await oracle.of()


async def test_only_so_many_answers_are_kept(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beliefs, "_MOST", 2)
    for question in ("a", "b", "c", "c", "a"):
        await oracle.of(question)
    assert oracle.asked == 4
