"""Refuses by name what a build of Shimmy would silently ignore. Pure."""

import json
from typing import Final

from shimmy_api.errors import ApiError
from shimmy_engine import wording
from shimmy_engine.quirks import Quirks
from shimmy_engine.requests import Generation, RefusedError

_LONGEST_CALL: Final = 2 * 1024 * 1024
"""Bytes of a request that Shimmy takes: axum's default limit, which both lines have."""
_REST: Final = 64 * 1024
"""Room for what a call says beside the caller's text."""
_MOST_BYTES: Final = 6
"""Of a character in JSON: an escaped control character."""


def refuse_unsuitable(quirks: Quirks, generation: Generation) -> None:
    """Return where the build does all that the request asks for.

    Raises:
        RefusedError: it does not.
    """
    if generation.seed is not None and not quirks.takes_seed:
        raise _unsupported("seed", "draws the same text for the same request, whatever the seed")
    if not quirks.samples:
        if generation.temperature:
            raise _unsupported("temperature", "draws no token, whatever the temperature")
        if generation.top_p not in (None, 1.0):
            raise _unsupported("top_p", "draws no token")
    if quirks.chat_ends_with_user and generation.chat and generation.messages[-1][0] != "user":
        message = "The last message must have the role 'user': this model's engine drops any other one."
        raise RefusedError(ApiError(400, "unsupported_messages", message, param="messages"))


def refuse_small_context(context: int, generation: Generation) -> None:
    """Return where the model's context is as large as the request wants it.

    Raises:
        RefusedError: it is not.
    """
    if generation.context is not None and generation.context > context:
        message = f"The model's context is {context} tokens, fewer than the {generation.context} of 'options.num_ctx'."
        raise RefusedError(ApiError(400, "unsupported_parameter", message, param="options.num_ctx"))


def refuse_too_long(quirks: Quirks, generation: Generation) -> None:
    """Return where Shimmy takes a call with this text.

    Raises:
        RefusedError: it does not.
    """
    texts = [generation.prompt, *(role + text for role, text in generation.messages)]
    if sum(map(len, texts)) * _MOST_BYTES + _REST < _LONGEST_CALL:
        return
    _, call = wording.request(quirks, generation, model="", max_tokens=0)
    size = len(json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass"))
    if size + _REST > _LONGEST_CALL:
        message = f"The text is longer than the model's engine takes: about {size} bytes, of {_LONGEST_CALL}."
        param = "messages" if generation.chat else "prompt"
        raise RefusedError(ApiError(413, "request_too_large", message, param=param))


def _unsupported(parameter: str, why: str) -> RefusedError:
    message = f"The model's engine does not support the parameter {parameter!r}: it {why}. Leave it out."
    return RefusedError(ApiError(400, "unsupported_parameter", message, param=parameter))
