"""Who may do what: asked of the API server, as every API server behind the aggregation layer does.

https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from shimmy_meter.external_metrics import GROUP, VERSION
from shimmy_meter.front_proxy import User

ALLOWED_SECONDS: Final = 10.0
DENIED_SECONDS: Final = 10.0
"""As long as k8s.io/apiserver believes an answer (pkg/server/options/authorization.go)."""
_MOST: Final = 4096
"""Answers that are kept."""
_MASTERS: Final = "system:masters"
"""Never asked for, in the same place: so that the API server sees this server even when it cannot answer."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is asked for: a metric of a namespace, or else a path."""

    path: str
    namespace: str = ""
    metric: str = ""

    def __str__(self) -> str:
        if self.metric:
            return f'list resource "{self.metric}" in API group "{GROUP}" in the namespace "{self.namespace}"'
        return f'get path "{self.path}"'


Review = Callable[[dict[str, Any]], Awaitable[bool]]
"""Has the API server answer a SubjectAccessReview's spec."""


class Authorizer:
    """Asks, and remembers the answers for seconds."""

    def __init__(self, review: Review, clock: Callable[[], float] = time.monotonic) -> None:
        self._review = review
        self._clock = clock
        self._known: dict[tuple[User, Attempt], tuple[float, bool]] = {}

    async def allows(self, user: User, attempt: Attempt) -> bool:
        """Whether the user may; what `review` raises if nobody can say."""
        if _MASTERS in user.groups:
            return True
        key = (user, attempt)
        until, allowed = self._known.get(key, (0.0, False))
        if self._clock() < until:
            return allowed
        allowed = await self._review(spec(user, attempt))
        self._known.pop(key, None)
        self._known[key] = (self._clock() + (ALLOWED_SECONDS if allowed else DENIED_SECONDS), allowed)
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return allowed


def spec(user: User, attempt: Attempt) -> dict[str, Any]:
    """A SubjectAccessReview's spec.

    The path of a metric names no single object, which every API server reads as `list`
    (pkg/endpoints/request/requestinfo.go of k8s.io/apiserver); the one in front asks for the same.
    """
    what: dict[str, Any] = {"nonResourceAttributes": {"path": attempt.path, "verb": "get"}}
    if attempt.metric:
        what = {
            "resourceAttributes": {
                "namespace": attempt.namespace,
                "verb": "list",
                "group": GROUP,
                "version": VERSION,
                "resource": attempt.metric,
            }
        }
    extra = {key: list(values) for key, values in user.extra}
    return what | {"user": user.name, "uid": user.uid, "groups": list(user.groups), "extra": extra}
