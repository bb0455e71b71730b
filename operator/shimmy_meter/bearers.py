"""Who shows a ServiceAccount token: routers that report their load, and the operator that reads it.

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shimmy_api.load import LOADS_PATH
from shimmy_meter.authorization import Attempt, Review, spec, spec_of_loads
from shimmy_meter.beliefs import Beliefs
from shimmy_meter.front_proxy import User
from shimmy_meter.wire import LoadReport

_SCHEME: Final = "bearer "
_ACCOUNT: Final = "system:serviceaccount:"
"""Before the namespace and the name of a ServiceAccount, in the name of its user."""
_POD_NAME: Final = "authentication.kubernetes.io/pod-name"
"""In the extra fields of the user of a token that is bound to a pod, as projected ones are."""

Identify = Callable[[str], Awaitable[User | None]]
"""Has the API server say whose token it is; nobody's if that is none, or not meant for this server."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a token belongs to, and what they may."""

    user: User
    may: bool
    everywhere: bool = True
    """Whether they may it for all namespaces; else for the ServiceAccount's own."""

    @property
    def namespace(self) -> str:
        """The ServiceAccount's; empty for another user."""
        return _namespace(self.user)

    @property
    def pod(self) -> str | None:
        """The pod that the token is bound to, if it is."""
        return next((values[0] for key, values in self.user.extra if key == _POD_NAME and values), None)

    def objection(self, report: LoadReport) -> str:
        """Why they cannot tell what they tell; empty if they can."""
        if self.pod not in (None, report.router):
            return f"pod {self.pod} cannot speak for {report.router}"
        if self.everywhere:
            return ""
        if self.pod is None:
            return "a token that is bound to a pod is needed"
        others = (load.namespace for load in report.loads if load.namespace != self.namespace)
        other = next(others, None)
        return f"a router of namespace {self.namespace} cannot speak of namespace {other}" if other else ""


class Bearers:
    """Asks whose tokens they are and what those may, and remembers the answers, not the tokens."""

    def __init__(self, identify: Identify, review: Review, clock: Callable[[], float] = time.monotonic) -> None:
        self._identify = identify
        self._review = review
        self._beliefs: Beliefs[tuple[bytes, str], Bearer | None] = Beliefs(clock)

    async def find(self, header: str, verb: str) -> Bearer | None:
        """Who wants to `post` or `get` the path of loads with a header Authorization; nobody if that has no token.

        Raises:
            UnavailableError: nobody can say.
        """
        token = header[len(_SCHEME) :].strip()
        if not token or not token.isascii() or header[: len(_SCHEME)].lower() != _SCHEME:
            return None
        digest = hashlib.sha256(token.encode()).digest()
        return await self._beliefs.of((digest, verb), lambda: self._ask(token, verb))

    async def _ask(self, token: str, verb: str) -> Bearer | None:
        user = await self._identify(token)
        if user is None:
            return None
        if await self._review(spec(user, Attempt(LOADS_PATH, verb=verb))):
            return Bearer(user, may=True)
        namespace = _namespace(user)
        own = verb == "post" and namespace and await self._review(spec_of_loads(user, namespace))
        return Bearer(user, may=bool(own), everywhere=False)


def _namespace(user: User) -> str:
    return user.name.removeprefix(_ACCOUNT).partition(":")[0] if user.name.startswith(_ACCOUNT) else ""
