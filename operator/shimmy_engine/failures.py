"""How an engine can fail, as the rest of the runner sees it."""


class EngineFailedError(Exception):
    """The Shimmy process broke off, answered with an error or fell silent. The text holds nothing of a prompt."""


class EngineRefusedError(EngineFailedError):
    """The process answered properly, and with a refusal: it lives, but does not do this."""
