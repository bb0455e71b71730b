"""Who shows a ServiceAccount token: routers that report their load, and the operator that reads it.

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shimmy_api.load import LOADS_PATH
from shimmy_meter.authorization import Attempt, Review, spec
from shimmy_meter.beliefs import Beliefs
from shimmy_meter.front_proxy import User

_SCHEME: Final = "bearer "
_POD_NAME: Final = "authentication.kubernetes.io/pod-name"
"""In the extra fields of the user of a token that is bound to a pod, as projected ones are."""

Identify = Callable[[str], Awaitable[User | None]]
"""Has the API server say whose token it is; nobody's if that is none, or not meant for this server."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a token belongs to, and what they may."""

    user: User
    may: bool

    @property
    def pod(self) -> str | None:
        """The pod that the token is bound to, if it is."""
        return next((values[0] for key, values in self.user.extra if key == _POD_NAME and values), None)


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
        return Bearer(user, await self._review(spec(user, Attempt(LOADS_PATH, verb=verb))))
