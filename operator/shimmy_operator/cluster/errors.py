"""What can go wrong with a request to the API server.

ClusterError
 |- NotFoundError        404: the object, or the namespace that it is to be made in
 |- AlreadyExistsError   409 on a create
 |- ConflictError        409 otherwise: somebody else was faster, or the object was made anew; read again
 |- InvalidError         400, 422: the API server will never take this; the message names the field
 |- ForbiddenError       401, 403: RBAC or an admission rule (a quota, Pod Security) says no
 |- ExpiredError         410: the resourceVersion to watch from is too old; list again
 |- UnavailableError     408, 429, 5xx, no connection, a timeout: try again later
"""

from http import HTTPStatus


class ClusterError(Exception):
    """A request failed. The message is the API server's, without bodies of objects."""

    retry_after: float | None = None
    """Seconds that the server asks to wait."""


class NotFoundError(ClusterError):
    """There is no such object."""


class AlreadyExistsError(ClusterError):
    """An object of this name exists."""


class ConflictError(ClusterError):
    """The object changed meanwhile."""


class InvalidError(ClusterError):
    """The object is refused for what it contains."""


class ForbiddenError(ClusterError):
    """The operator may not do this."""


class ExpiredError(ClusterError):
    """A watch must start again from a list."""


class UnavailableError(ClusterError):
    """The API server cannot answer now."""


_BY_STATUS: dict[int, type[ClusterError]] = {
    HTTPStatus.BAD_REQUEST: InvalidError,
    HTTPStatus.UNAUTHORIZED: ForbiddenError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.GONE: ExpiredError,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidError,
}


def from_status(code: int, reason: str, message: str, retry_after: float | None = None) -> ClusterError:
    """The error of an answer; `reason` is the `reason` of its meta/v1 Status."""
    kind = AlreadyExistsError if reason == "AlreadyExists" else _BY_STATUS.get(code, UnavailableError)
    error = kind(f"{code}: {message}")
    error.retry_after = retry_after
    return error
