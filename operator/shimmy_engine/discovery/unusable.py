"""Why something that looks like a model is none that can be served."""


class UnusableError(Exception):
    """`reason` is CamelCase, for programs; `message` says what is the matter and what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
