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
    entry: TokenAccess, key_sets: Mapping[str, str] | None, namespace: str, claimed: Iterable[Claimant]
) -> Judged:
    conflict = next(filter(None, (_conflict(entry, other) for other in claimed)), None)
    if entry.issuer is None or entry.jwks is None:
        state = AccessState.REFUSED if conflict else AccessState.ACTIVE
        return Judged(TokenStatus(name=entry.name, state=state, message=conflict or ""))
    place = f"ConfigMap {namespace}/{names.JWKS}"
    text = (key_sets or {}).get(entry.jwks.key)
    if text is None:
        what = f"{place} does not exist" if key_sets is None else f"{place} has no entry {entry.jwks.key}"
        message = f"{what}. Put the issuer's JSON Web Key Set there as data[{entry.jwks.key!r}]."
        return Judged(TokenStatus(name=entry.name, state=AccessState.MISSING, message=message))
    try:
        key_set: KeySet = read_key_set(text)
    except ValueError as error:
        message = f"Entry {entry.jwks.key} of {place} {error}."
        return Judged(TokenStatus(name=entry.name, state=AccessState.INVALID, message=message))
    if conflict:
        return Judged(TokenStatus(name=entry.name, state=AccessState.REFUSED, keys=key_set.count, message=conflict))
    return Judged(TokenStatus(name=entry.name, keys=key_set.count), key_set.text)


def _conflict(entry: TokenAccess, other: Claimant) -> str | None:
    """Why the two cannot both be: a token would not tell whose it is."""
    if entry.issuer != other.entry.issuer:
        return None
    issuer = f"issuer {entry.issuer}" if entry.issuer else "the cluster's own issuer"
    there = f"entry {other.entry.name} of {other.owner}"
    if entry.jwks != other.entry.jwks:
        return f"For {issuer}, {there} has other keys and was there first. Name the same entry of {names.JWKS}."
    if entry.claim != other.entry.claim:
        return f"For {issuer}, {there} has claim {other.entry.claim} and was there first. Use the same claim."
    shared = sorted({*entry.values} & {*other.entry.values})
    if shared:
        return (
            f"For {issuer}, {there} has the value {shared[0]!r}, too, and was there first. Take it out of one of them."
        )
    return None


def problem(tokens: Sequence[TokenStatus]) -> Verdict | None:
    """What keeps the tenant from being ready: issuers whose keys are not there."""
    bad = [token for token in tokens if token.state in _REASONS]
    if not bad:
        return None
    text = " ".join(f"Tokens {token.name}: {token.message}" for token in bad)
    return Verdict(False, _REASONS[bad[0].state], text)


def conflicts(tokens: Sequence[TokenStatus]) -> list[Verdict]:
    """Entries that contradict others."""
    return [
        Verdict(False, "TokensNotUnique", f"Tokens {token.name}: {token.message}")
        for token in tokens
        if token.state is AccessState.REFUSED
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
