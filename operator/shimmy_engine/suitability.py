"""Refuses by name what a build of Shimmy would silently ignore. Pure."""

from shimmy_api.errors import ApiError
from shimmy_engine.quirks import Quirks
from shimmy_engine.requests import Generation, RefusedError


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


def _unsupported(parameter: str, why: str) -> RefusedError:
    message = f"The model's engine does not support the parameter {parameter!r}: it {why}. Leave it out."
    return RefusedError(ApiError(400, "unsupported_parameter", message, param=parameter))
