"""Who may do what: asked of the API server, as every API server behind the aggregation layer does.

https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from shimmy_api import names
from shimmy_api.load import LOAD_RESOURCE, LOAD_SUBRESOURCE
from shimmy_meter.beliefs import Beliefs
from shimmy_meter.external_metrics import GROUP, VERSION
from shimmy_meter.front_proxy import User

_MASTERS: Final = "system:masters"
"""Never asked for, as in k8s.io/apiserver (pkg/server/options/authorization.go): so that the API server sees this
server even when it cannot answer."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is asked for: a metric of a namespace, or else a path."""

    path: str
    namespace: str = ""
    metric: str = ""
    verb: str = "get"
    """Of a path."""

    def __str__(self) -> str:
        if self.metric:
            return f'list resource "{self.metric}" in API group "{GROUP}" in the namespace "{self.namespace}"'
        return f'{self.verb} path "{self.path}"'


Review = Callable[[dict[str, Any]], Awaitable[bool]]
"""Has the API server answer a SubjectAccessReview's spec."""


class Authorizer:
    """Asks, and remembers the answers."""

    def __init__(self, review: Review, clock: Callable[[], float] = time.monotonic) -> None:
        self._review = review
        self._beliefs: Beliefs[tuple[User, Attempt], bool] = Beliefs(clock)

    async def allows(self, user: User, attempt: Attempt) -> bool:
        """Whether the user may.

        Raises:
            UnavailableError: nobody can say.
        """
        if _MASTERS in user.groups:
            return True
        return await self._beliefs.of((user, attempt), lambda: self._review(spec(user, attempt)))


def spec(user: User, attempt: Attempt) -> dict[str, Any]:
    """A SubjectAccessReview's spec.

    The path of a metric names no single object, which every API server reads as `list`
    (pkg/endpoints/request/requestinfo.go of k8s.io/apiserver); the one in front asks for the same.
    """
    what: dict[str, Any] = {"nonResourceAttributes": {"path": attempt.path, "verb": attempt.verb}}
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
    return _spec(user, what)


def spec_of_loads(user: User, namespace: str) -> dict[str, Any]:
    """The same of telling the loads of one namespace."""
    attributes = {
        "namespace": namespace,
        "verb": "create",
        "group": names.GROUP,
        "resource": LOAD_RESOURCE,
        "subresource": LOAD_SUBRESOURCE,
    }
    return _spec(user, {"resourceAttributes": attributes})


def _spec(user: User, what: dict[str, Any]) -> dict[str, Any]:
    extra = {key: list(values) for key, values in user.extra}
    return what | {"user": user.name, "uid": user.uid, "groups": list(user.groups), "extra": extra}
