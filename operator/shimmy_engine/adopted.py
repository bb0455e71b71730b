"""A Shimmy server that somebody else has started: it is used as it is, watched, and never stopped."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import httpx

from shimmy_engine.failures import EngineFailedError
from shimmy_engine.quirks import Release, UnknownShimmyError, release_of

if TYPE_CHECKING:
    from shimmy_engine.device import Device

_EVERY: Final = 2.0
_MISSES: Final = 3
_SECONDS: Final = 5.0


async def identify_server(base_url: str, model: str) -> tuple[Release, str]:
    """Learn what runs at an address; returns its release and the name of the model to ask for.

    /health tells the version but not the build, which shows in whether there is a /cancel.

    Raises:
        UnknownShimmyError: no Shimmy answers there, or it does not have the model, or has several and none was named.
    """
    try:
        async with httpx.AsyncClient(base_url=base_url, timeout=_SECONDS, trust_env=False) as client:
            about = (await client.get("/health")).json()
            listed = [entry["id"] for entry in (await client.get("/v1/models")).json()["data"]]
            ours = (await client.post("/cancel")).status_code == httpx.codes.NO_CONTENT
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise UnknownShimmyError(f"no Shimmy answers at {base_url}: {type(error).__name__}") from error
    release = release_of(f"{about.get('version', '')}{'+fleet.1' if ours else ''}")
    choices = [model] if model else [name for name in listed if name != "phi3-lora"]  # 1.8 lists that one always
    if len(choices) != 1 or choices[0] not in listed:
        raise UnknownShimmyError(f"{base_url} serves {', '.join(listed) or 'no model'}: name one of them")
    return release, choices[0]


class AdoptedServer:
    """The same to the supervisor as a process of its own."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.device: Device | None = None
        """Nobody tells."""
        self.exited: asyncio.Task[str] = asyncio.create_task(self._watch())
        """Ends when the server does not answer any more, with a sentence on it."""

    @classmethod
    async def reach(cls, base_url: str) -> "AdoptedServer":
        """Take it over once it answers.

        Raises:
            EngineFailedError: it does not.
        """
        async with httpx.AsyncClient(base_url=base_url, timeout=_SECONDS, trust_env=False) as client:
            if not await _answers(client):
                raise EngineFailedError(f"the adopted server at {base_url} does not answer")
        return cls(base_url)

    def memory(self) -> int:
        """Unknown."""
        return 0

    async def stop(self) -> None:
        """Leave it alone."""
        self.exited.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.exited

    async def _watch(self) -> str:
        misses = 0
        async with httpx.AsyncClient(base_url=self.base_url, timeout=_SECONDS, trust_env=False) as client:
            while misses < _MISSES:
                await asyncio.sleep(_EVERY)
                misses = 0 if await _answers(client) else misses + 1
        return f"the adopted server at {self.base_url} does not answer any more"


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health")).is_success
    except httpx.HTTPError:
        return False
