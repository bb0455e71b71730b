"""What clients are told of their limits, in OpenAI's words.

Headers: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

import math

from shimmy_api import errors
from shimmy_api.errors import ApiError
from shimmy_router.limits.ledger import Answer
from shimmy_router.limits.tokens import Verdict


def request_headers(answer: Answer) -> dict[str, str]:
    """How the requests of the last minute stand; nothing where they are not limited."""
    if answer.limit is None:
        return {}
    return {
        "x-ratelimit-limit-requests": str(answer.limit),
        "x-ratelimit-remaining-requests": str(answer.remaining),
        "x-ratelimit-reset-requests": duration(answer.reset),
    }


def token_headers(verdict: Verdict) -> dict[str, str]:
    """How the tokens of the last minute stand where they are used up."""
    return {
        "x-ratelimit-limit-tokens": str(verdict.limit),
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": duration(verdict.retry_after),
        "retry-after": str(verdict.retry_after),
    }


def refusal(answer: Answer) -> tuple[ApiError, dict[str, str]]:
    """The error and the headers of a refused request."""
    error = errors.TOO_MANY_AT_A_TIME if answer.reason == "concurrent" else errors.TOO_MANY_REQUESTS
    return error, {**request_headers(answer), "retry-after": str(max(math.ceil(answer.retry_after), 1))}


def duration(seconds: float) -> str:
    """Seconds, rounded up, as OpenAI writes them: 6m0s."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
