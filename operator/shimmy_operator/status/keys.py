"""Which of a tenant's API keys let anybody in. Pure."""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shimmy_api import names
from shimmy_api.access import AccessState, ApiKey
from shimmy_api.tenant import KeyStatus
from shimmy_operator.status.conditions import Verdict

_REASONS = {AccessState.MISSING: "KeyMissing", AccessState.INVALID: "KeyInvalid"}


@dataclass(frozen=True, slots=True)
class Held:
    """An entry of spec.keys and what its Secret holds."""

    entry: ApiKey
    secret: str
    """Name of the Secret."""
    found: bool
    """Whether the Secret is there."""
    key: str | None = field(default=None, repr=False)
    """What it holds under data.key."""
    id: str | None = None
    """Public part of that; None if it is no key."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A key, whether it lets anybody in, and why not."""

    status: KeyStatus
    mirrored: str | None = field(default=None, repr=False)
    """The key, if the router is to have it."""


def judge(held: Sequence[Held], namespace: str, now: datetime, elsewhere: Container[str]) -> list[Judged]:
    """What becomes of each entry. `elsewhere` are the keys that other tenants hold.

    A key that two tenants hold stays in both mirrors, where the router finds it twice and takes it for nobody's.
    """
    uses = Counter(one.id for one in held if not is_over(one.entry, now))
    return [_judge(one, namespace, now, elsewhere, twice=uses[one.id] > 1) for one in held]


def next_expiry(entries: Sequence[ApiKey], now: datetime) -> datetime | None:
    """When the next key ends, if one does."""
    return min((end for entry in entries if (end := entry.expiry) is not None and end > now), default=None)


def is_over(entry: ApiKey, now: datetime) -> bool:
    """Whether a key has ended."""
    return entry.expiry is not None and entry.expiry <= now


def _judge(one: Held, namespace: str, now: datetime, elsewhere: Container[str], *, twice: bool) -> Judged:
    entry, secret = one.entry, f"Secret {namespace}/{one.secret}"
    mirrored: str | None = None
    if is_over(entry, now):
        state = AccessState.EXPIRED
        message = f"It ended at {entry.expires_at}. Take it out of spec.keys, or set another expiresAt."
    elif not one.found:
        label = f"{names.LABEL_PART_OF}={names.PART_OF}"
        state = AccessState.MISSING
        message = (
            f"{secret} does not exist, or lacks the label without which the operator does not see it: "
            f"kubectl label secret --namespace {namespace} {one.secret} {label}"
        )
    elif one.id is None or one.key is None:
        state = AccessState.INVALID
        advice = "Delete it to get a new key." if entry.secret_name is None else "Correct it."
        message = f"{secret} does not hold under data.key a key of the form {names.KEY_PATTERN}. {advice}"
    elif twice:
        state = AccessState.REFUSED
        message = f"Another key of this tenant has the id {one.id}, too. Give each a key of its own."
    elif one.key in elsewhere:
        state, mirrored = AccessState.REFUSED, one.key
        message = "Another tenant holds this key, too, so that it tells nobody's requests apart. Make a new one."
    else:
        state, mirrored, message = AccessState.ACTIVE, one.key, ""
    status = KeyStatus(
        name=entry.name,
        id=one.id,
        secret_name=one.secret,
        state=state,
        expires_at=entry.expires_at,
        message=message,
    )
    return Judged(status, mirrored)


def problem(keys: Sequence[KeyStatus]) -> Verdict | None:
    """What keeps the tenant from being ready: keys that it was told of and that are not there."""
    bad = [key for key in keys if key.state in _REASONS]
    if not bad:
        return None
    return Verdict(False, _REASONS[bad[0].state], " ".join(f"Key {key.name}: {key.message}" for key in bad))


def conflicts(keys: Sequence[KeyStatus]) -> list[Verdict]:
    """Keys that contradict others."""
    return [
        Verdict(False, "KeyNotUnique", f"Key {key.name}: {key.message}")
        for key in keys
        if key.state is AccessState.REFUSED
    ]


def news(before: Sequence[KeyStatus], after: Sequence[KeyStatus]) -> list[Verdict]:
    """What happened to keys from one status to the next, for Events."""
    old = {key.name: key for key in before}
    new = {key.name: key for key in after}
    gone = [key for key in before if key.id and (key.name not in new or new[key.name].id not in (None, key.id))]
    found = [
        Verdict(True, "KeyRevoked", f"Key {key.name} (id {key.id}) is not accepted any more.")
        for key in gone
        if key.state is AccessState.ACTIVE
    ]
    for key in after:
        found += _news(old.get(key.name), key)
    return found


def _news(before: KeyStatus | None, key: KeyStatus) -> list[Verdict]:
    if before is not None and (before.state, before.id) == (key.state, key.id):
        return []
    match key.state:
        case AccessState.ACTIVE:
            made = (before is None or before.id != key.id) and key.secret_name == names.key_secret(key.name)
            reason = "KeyCreated" if made else "KeyAccepted"
            return [Verdict(True, reason, f"Key {key.name} (id {key.id}) in Secret {key.secret_name} is accepted.")]
        case AccessState.EXPIRED:
            return [Verdict(True, "KeyExpired", f"Key {key.name}: {key.message}")]
        case _:
            return [Verdict(False, "KeyRefused", f"Key {key.name}: {key.message}")]
