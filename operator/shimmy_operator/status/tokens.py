"""Which of a tenant's entries for bearer tokens let anybody in. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shimmy_api import names
from shimmy_api.access import AccessState, TokenAccess
from shimmy_api.tenant import TokenStatus
from shimmy_operator.render.jwks import KeySet, read_key_set
from shimmy_operator.status.conditions import Verdict

_REASONS = {AccessState.MISSING: "IssuerKeysMissing", AccessState.INVALID: "IssuerKeysInvalid"}


@dataclass(frozen=True, slots=True)
class Claimant:
    """An entry that was there before, of this tenant or of another one."""

    owner: str
    """Whose it is, in words."""
    entry: TokenAccess

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"entry {self.entry.name} of {self.owner}"


@dataclass(frozen=True, slots=True)
class Judged:
    """An entry, whether it lets anybody in, and why not."""

    status: TokenStatus
    key_set: str | None = None
    """The issuer's public keys, if the router is to have them."""


def judge(
    entries: Sequence[TokenAccess], key_sets: Mapping[str, str] | None, namespace: str, others: Iterable[Claimant]
) -> list[Judged]:
    """What becomes of each entry.

    Args:
        entries: those of the tenant.
        key_sets: the data of the ConfigMap of issuers' keys; None if there is no such ConfigMap.
        namespace: of that ConfigMap.
        others: entries of older tenants, which come first.
    """
    claimed, found = list(others), []
    for entry in entries:
        found.append(_judge(entry, key_sets, namespace, claimed))
        claimed.append(Claimant("this tenant", entry))
    return found


def _judge(
    entry: TokenAccess, key_sets: Mapping[str, str] | None, namespace: str, claimed: Sequence[Claimant]
) -> Judged:
    key_set: KeySet | None = None
    if entry.jwks is not None:
        place = f"ConfigMap {namespace}/{names.JWKS}"
        text = (key_sets or {}).get(entry.jwks.key)
        if text is None:
            what = f"{place} does not exist" if key_sets is None else f"{place} has no entry {entry.jwks.key}"
            message = f"{what}. Put the issuer's JSON Web Key Set there as data[{entry.jwks.key!r}]."
            return Judged(TokenStatus(name=entry.name, state=AccessState.MISSING, message=message))
        try:
            key_set = read_key_set(text)
        except ValueError as error:
            message = f"Entry {entry.jwks.key} of {place} {error}."
            return Judged(TokenStatus(name=entry.name, state=AccessState.INVALID, message=message))
    refusal = next(filter(None, (_refusal(entry, other) for other in claimed)), None)
    taken = {value: other.place for other in reversed(claimed) for value in _shared(entry, other)}
    refused = refusal is not None or len(taken) == len(entry.values)
    status = TokenStatus(
        name=entry.name,
        state=AccessState.REFUSED if refused else AccessState.ACTIVE,
        keys=key_set.count if key_set else None,
        message=refusal or _taken(taken),
    )
    return Judged(status, key_set.text if key_set and not refused else None)


def are_checked_alike(one: Claimant, other: Claimant) -> bool:
    """Whether the router can check tokens for both."""
    return _refusal(one.entry, other) is None


def _refusal(entry: TokenAccess, other: Claimant) -> str | None:
    """Why the router cannot check tokens for both: an issuer has one set of keys and one claim."""
    if entry.issuer != other.entry.issuer:
        return None
    issuer = f"issuer {entry.issuer}" if entry.issuer else "the cluster's own issuer"
    if entry.jwks != other.entry.jwks:
        return f"For {issuer}, {other.place} has other keys and was there first. Name the same entry of {names.JWKS}."
    if entry.claim != other.entry.claim:
        return f"For {issuer}, {other.place} has claim {other.entry.claim} and was there first. Use the same claim."
    return None


def _shared(entry: TokenAccess, other: Claimant) -> Iterable[str]:
    """Values of a claim that both have for one audience: such a token is the older one's."""
    if (entry.issuer, entry.audience) != (other.entry.issuer, other.entry.audience):
        return ()
    return sorted({*entry.values} & {*other.entry.values})


def _taken(values: Mapping[str, str]) -> str:
    if not values:
        return ""
    value, place = next(iter(sorted(values.items())))
    more = f" and {len(values) - 1} more" if len(values) > 1 else ""
    return f"Value {value!r}{more} belongs to {place}, which was there first. Take it out of one of them."


def problem(tokens: Sequence[TokenStatus]) -> Verdict | None:
    """What keeps the tenant from being ready: issuers whose keys are not there."""
    bad = [token for token in tokens if token.state in _REASONS]
    if not bad:
        return None
    text = " ".join(f"Tokens {token.name}: {token.message}" for token in bad)
    return Verdict(False, _REASONS[bad[0].state], text)


def conflicts(tokens: Sequence[TokenStatus]) -> list[Verdict]:
    """Entries that contradict others, in part or as a whole."""
    return [
        Verdict(False, "TokensNotUnique", f"Tokens {token.name}: {token.message}")
        for token in tokens
        if token.message and token.state not in _REASONS
    ]


def news(before: Sequence[TokenStatus], after: Sequence[TokenStatus]) -> list[Verdict]:
    """What happened to entries from one status to the next, for Events."""
    old = {token.name: token.state for token in before}
    found = []
    for token in after:
        if old.get(token.name, AccessState.ACTIVE) is token.state:
            continue
        if token.state is AccessState.ACTIVE:
            found.append(Verdict(True, "TokensAccepted", f"Tokens {token.name} are accepted again."))
        else:
            found.append(Verdict(False, "TokensRefused", f"Tokens {token.name}: {token.message}"))
    return found
