"""How an engine can fail, as the rest of the runner sees it."""

from typing import ClassVar

from shimmy_api.errors import ENGINE_FAILED, ENGINE_TIMEOUT, ApiError


class EngineFailedError(Exception):
    """The Shimmy process broke off, answered with an error or fell silent. The text holds nothing of a prompt."""

    told: ClassVar[ApiError] = ENGINE_FAILED
    """What the client is told."""


class EngineRefusedError(EngineFailedError):
    """The process answered properly, and with a refusal: it lives, but does not do this."""


class NoGpuError(EngineFailedError):
    """The process computes on the CPU although a GPU is required."""


class DeadlineError(EngineFailedError):
    """The time for the request is over; the engine may well be healthy."""

    told: ClassVar[ApiError] = ENGINE_TIMEOUT
