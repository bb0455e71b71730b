"""Shows that a Shimmy process really answers with its model: /health is 200 whether it can or not."""

import asyncio

from shimmy_engine.failures import EngineFailedError
from shimmy_engine.quirks import Quirks
from shimmy_engine.requests import Generation
from shimmy_engine.upstream import Piece, Upstream

KNOWN_GOOD = Generation(messages=(("user", "Say hello."),), temperature=0.0)
"""A prompt that every model answers with some text."""
_TOKENS = 8


async def warm_up(upstream: Upstream, quirks: Quirks, *, patience: float) -> None:
    """Load the model and generate a few tokens.

    Raises:
        EngineFailedError: no text came, or none that can be read, or not within `patience` seconds.
    """
    try:
        async with asyncio.timeout(patience):
            if quirks.counts_prompt and await upstream.count_prompt(KNOWN_GOOD) < 1:
                raise EngineFailedError("the engine counts no token in a prompt that has some")
            text = ""
            async for event in upstream.generate(KNOWN_GOOD, _TOKENS):
                if isinstance(event, Piece):
                    text += event.text
    except TimeoutError as error:
        raise EngineFailedError(f"the engine gave no answer within {patience:.0f} s") from error
    if not any(letter.isprintable() and letter != "�" for letter in text.strip()):
        raise EngineFailedError("the engine's answer to a known prompt is empty or unreadable")
