"""Which keys are accepted, and what is told of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shimmy_api.access import AccessState, ApiKey
from shimmy_api.tenant import KeyStatus
from shimmy_operator.reconcile.keys import key_id, new_key
from shimmy_operator.status.keys import Held, conflicts, judge, news, next_expiry, problem

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY, OTHER = new_key(), new_key()


def held(name: str, key: str | None = KEY, *, found: bool = True, **entry: Any) -> Held:
    api_key = ApiKey(name=name, **entry)
    return Held(api_key, api_key.secret_name or f"shimmy-key-{name}", found=found, key=key, id=key_id(key or ""))


def states(*entries: Held, elsewhere: tuple[str, ...] = ()) -> list[tuple[AccessState, str | None]]:
    return [(one.status.state, one.mirrored) for one in judge(entries, "shimmy-acme", NOW, elsewhere)]


def test_a_key_is_accepted_until_the_instant_at_which_it_ends() -> None:
    second = timedelta(seconds=1)
    ends = [(NOW + second).isoformat(), NOW.isoformat(), (NOW - second).isoformat(), "2026-02-30T00:00:00Z"]
    found = [states(held("a", expires_at=end))[0] for end in ends]
    assert found == [(AccessState.ACTIVE, KEY), *[(AccessState.EXPIRED, None)] * 3]


def test_the_next_expiry_is_the_earliest_that_is_to_come() -> None:
    ends = ["2026-07-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-06-02T00:00:00+02:00", None]
    keys = [ApiKey(name=f"k{index}", expires_at=end) for index, end in enumerate(ends)]
    assert next_expiry(keys, NOW) == datetime(2026, 6, 1, 22, tzinfo=UTC)
    assert next_expiry(keys[1:2], NOW) is None


def test_one_bad_key_leaves_the_others_alone() -> None:
    bad = [held("gone", None, found=False, secret_name="vault"), held("empty", None), held("odd", "hunter2")]
    found = states(held("good"), *bad)
    assert found == [
        (AccessState.ACTIVE, KEY),
        (AccessState.MISSING, None),
        (AccessState.INVALID, None),
        (AccessState.INVALID, None),
    ]


def test_a_problem_says_what_to_do_and_quotes_no_key() -> None:
    entries = [held("gone", None, found=False, secret_name="vault"), held("odd", "hunter2", secret_name="odd")]
    verdict = problem([one.status for one in judge(entries, "shimmy-acme", NOW, ())])
    assert verdict is not None
    assert (verdict.ready, verdict.reason) == (False, "KeyMissing")
    label = "kubectl label secret --namespace shimmy-acme vault app.kubernetes.io/part-of=shimmy"
    assert label in verdict.message
    assert "Secret shimmy-acme/odd does not hold under data.key a key of the form" in verdict.message
    assert "hunter2" not in verdict.message


def test_two_keys_of_one_id_identify_nobody() -> None:
    twin = KEY[:-1] + ("a" if KEY[-1] != "a" else "b")
    assert states(held("a"), held("b", twin), held("c", OTHER)) == [
        (AccessState.REFUSED, None),
        (AccessState.REFUSED, None),
        (AccessState.ACTIVE, OTHER),
    ]


def test_an_expired_key_is_in_nobodys_way() -> None:
    assert states(held("old", expires_at="2026-01-01T00:00:00Z"), held("new"))[1] == (AccessState.ACTIVE, KEY)


def test_a_key_that_another_tenant_holds_stays_in_the_mirror_where_the_router_finds_it_twice() -> None:
    judged = judge([held("a")], "shimmy-acme", NOW, {KEY})
    assert (judged[0].status.state, judged[0].mirrored) == (AccessState.REFUSED, KEY)
    assert [verdict.reason for verdict in conflicts([judged[0].status])] == ["KeyNotUnique"]
    assert problem([judged[0].status]) is None


def test_no_key_shows_in_what_is_logged() -> None:
    one = held("a")
    assert KEY not in repr([one, *judge([one], "shimmy-acme", NOW, ())])


def status(name: str, key: str | None = KEY, state: AccessState = AccessState.ACTIVE, secret: str = "") -> KeyStatus:
    return KeyStatus(name=name, id=key_id(key or ""), secret_name=secret or f"shimmy-key-{name}", state=state)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([], [status("a")], ["KeyCreated"]),
        ([], [status("a", secret="vault")], ["KeyAccepted"]),
        ([status("a")], [status("a")], []),
        ([status("a")], [], ["KeyRevoked"]),
        ([status("a")], [status("a", OTHER)], ["KeyRevoked", "KeyCreated"]),
        ([status("a")], [status("a", state=AccessState.EXPIRED)], ["KeyExpired"]),
        ([status("a", state=AccessState.EXPIRED)], [status("a")], ["KeyAccepted"]),
        ([status("a", state=AccessState.EXPIRED)], [], []),
        ([status("a")], [status("a", None, AccessState.MISSING)], ["KeyRefused"]),
        ([status("a", None, AccessState.MISSING)], [status("a", None, AccessState.MISSING)], []),
        ([status("a")], [status("a", state=AccessState.REFUSED)], ["KeyRefused"]),
    ],
)
def test_what_happens_to_a_key_is_told_once(before: list[KeyStatus], after: list[KeyStatus], told: list[str]) -> None:
    found = news(before, after)
    assert [verdict.reason for verdict in found] == told
    assert not any(KEY in verdict.message or OTHER in verdict.message for verdict in found)
