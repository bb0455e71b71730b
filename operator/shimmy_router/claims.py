"""Whose a token is, where several tenants name the same issuer or the same subject. Pure."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from shimmy_router.fleet import Token
from shimmy_router.groups import discard

Rank = Callable[[str], tuple[str, str]]
"""Gives a tenant's age: of several tenants the one with the least rank counts."""


class TokenClaims:
    """Keeps each tenant's tokens, and tells which of them count.

    An issuer has one set of keys and one claim that tells who it is: those that the oldest tenant names. A subject
    belongs to the oldest tenant that names it, and there to the first entry.
    """

    def __init__(self, rank: Rank) -> None:
        self._rank = rank
        self._tokens: dict[str, tuple[Token, ...]] = {}
        self._issuers: defaultdict[str, set[str]] = defaultdict(set)
        self._subjects: defaultdict[str, set[str]] = defaultdict(set)
        self.denied: dict[str, tuple[str, ...]] = {}
        """Names of entries that do not count, or not with all of their values, by tenant."""

    def put(self, tenant: str, tokens: tuple[Token, ...]) -> set[str]:
        """Take a tenant's tokens; the tenants that this concerns."""
        old = self._tokens.get(tenant, ())
        if tokens == old:
            return set()
        issuers = {token.issuer for token in (*old, *tokens)}
        subjects = {subject for token in (*old, *tokens) for subject in token.subjects}
        before = {issuer: self._reference(issuer) for issuer in issuers}
        self._set(tenant, tokens)
        concerned = {tenant}.union(*(self._subjects.get(subject, ()) for subject in subjects))
        for issuer in issuers:
            if self._reference(issuer) != before[issuer]:
                concerned |= self._issuers.get(issuer, set())
        return concerned

    def admitted(self, tenant: str) -> tuple[Token, ...]:
        """The tenant's tokens that count."""
        result, seen, denied = [], set[str](), []
        for token in self._tokens.get(tenant, ()):
            own = [v for v in token.values if self._has(tenant, token, v) and token.subject(v) not in seen]
            if (token.jwks, token.claim) != self._reference(token.issuer):
                own = []
            seen.update(token.subject(value) for value in own)
            if own:
                result.append(replace(token, values=tuple(own)))
            if len(own) < len(token.values):
                denied.append(token.name)
        self.denied.pop(tenant, None)
        if denied:
            self.denied[tenant] = tuple(denied)
        return tuple(result)

    def _has(self, tenant: str, token: Token, value: str) -> bool:
        return min(self._subjects[token.subject(value)], key=self._rank) == tenant

    def _reference(self, issuer: str) -> tuple[str, str] | None:
        """Keys and claim of an issuer."""
        oldest = min(self._issuers.get(issuer, ()), key=self._rank, default=None)
        tokens = self._tokens[oldest] if oldest else ()
        return next(((token.jwks, token.claim) for token in tokens if token.issuer == issuer), None)

    def _set(self, tenant: str, tokens: tuple[Token, ...]) -> None:
        for token in self._tokens.pop(tenant, ()):
            discard(self._issuers, token.issuer, tenant)
            for subject in token.subjects:
                discard(self._subjects, subject, tenant)
        if tokens:
            self._tokens[tenant] = tokens
        else:
            self.denied.pop(tenant, None)
        for token in tokens:
            self._issuers[token.issuer].add(tenant)
            for subject in token.subjects:
                self._subjects[subject].add(tenant)
