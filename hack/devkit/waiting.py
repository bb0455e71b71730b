"""The one way to wait for something: ask again until it is so, or a deadline passes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(ask: Callable[[], T | None], what: str, *, seconds: float, every: float = 0.05) -> T:
    """The first answer of `ask` that is true.

    Raises:
        TimeoutError: no answer was true within `seconds`; the message names `what`.
    """
    deadline = time.monotonic() + seconds
    while True:
        if answer := ask():
            return answer
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every)
