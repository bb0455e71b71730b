"""Which entries for bearer tokens are accepted."""

from typing import Any

import pytest
from tests.unit.operator.key_sets import ec_key, key_set

from shimmy_api.access import AccessState, TokenAccess
from shimmy_api.tenant import TokenStatus
from shimmy_operator.status.tokens import Claimant, Judged, conflicts, judge, news, problem

KEYS = key_set(ec_key())
SETS = {"jwks.json": KEYS, "other.json": KEYS, "bad.json": '{"keys": []}'}


def entry(name: str = "people", *values: str, key: str | None = "jwks.json", **more: Any) -> TokenAccess:
    more = {"issuer": "https://id.example", "jwks": {"key": key}, **more} if key else more
    return TokenAccess.model_validate({"name": name, "audience": "shimmy", "values": values or ["alice"], **more})


def judged(*entries: TokenAccess, others: tuple[TokenAccess, ...] = ()) -> list[Judged]:
    claimants = [Claimant("tenant older", other) for other in others]
    return judge(entries, SETS, "shimmy-system", claimants)


def test_an_issuers_keys_go_to_the_router() -> None:
    one = judged(entry())[0]
    assert (one.status.state, one.status.keys, one.status.message) == (AccessState.ACTIVE, 1, "")
    assert one.key_set is not None


def test_the_clusters_own_tokens_need_no_keys() -> None:
    one = judged(entry(key=None))[0]
    assert (one.status.state, one.status.keys, one.key_set) == (AccessState.ACTIVE, None, None)


def test_without_keys_an_entry_is_not_accepted_and_says_where_they_belong() -> None:
    missing = judge([entry()], None, "shimmy-system", ())[0]
    assert (missing.status.state, missing.key_set) == (AccessState.MISSING, None)
    assert "ConfigMap shimmy-system/shimmy-jwks does not exist" in missing.status.message
    absent = judged(entry(key="absent.json"))[0]
    assert "has no entry absent.json. Put the issuer's" in absent.status.message
    verdict = problem([missing.status])
    assert verdict is not None
    assert verdict.reason == "IssuerKeysMissing"


def test_keys_of_no_use_are_not_accepted() -> None:
    one = judged(entry(key="bad.json"))[0]
    assert (one.status.state, one.key_set) == (AccessState.INVALID, None)
    verdict = problem([one.status])
    assert verdict is not None
    assert verdict.reason == "IssuerKeysInvalid"
    assert "Entry bad.json of ConfigMap shimmy-system/shimmy-jwks has no public key" in verdict.message


CONFLICTS = {
    "For issuer https://id.example, entry older of tenant older has other keys": entry(
        "older", "bob", key="other.json"
    ),
    "For issuer https://id.example, entry older of tenant older has claim team": entry("older", "bob", claim="team"),
    "Value 'alice' belongs to entry older of tenant older": entry("older", "bob", "alice"),
}


@pytest.mark.parametrize("words", CONFLICTS)
def test_of_two_tenants_that_contradict_each_other_the_older_one_wins(words: str) -> None:
    one = judged(entry(), others=(CONFLICTS[words],))[0]
    assert (one.status.state, one.key_set) == (AccessState.REFUSED, None)
    assert one.status.message.startswith(words)
    assert [verdict.reason for verdict in conflicts([one.status])] == ["TokensNotUnique"]
    assert problem([one.status]) is None


def test_an_entry_keeps_the_values_that_nobody_else_has() -> None:
    others = (entry("older", "carol", "alice"), entry("second", "alice"))
    one = judged(entry("people", "alice", "bob", "carol"), others=others)[0]
    assert one.status.state is AccessState.ACTIVE
    assert one.key_set is not None
    assert one.status.message.startswith("Value 'alice' and 1 more belongs to entry older of tenant older")
    assert [verdict.reason for verdict in conflicts([one.status])] == ["TokensNotUnique"]


def test_two_tenants_may_share_an_issuer() -> None:
    others = (
        entry("older", "bob"),
        entry("audience", "alice", audience="elsewhere"),
        entry("builds", issuer="https://ci.example", claim="team"),
        entry(key=None),
    )
    one = judged(entry(), others=others)[0]
    assert (one.status.state, one.status.message) == (AccessState.ACTIVE, "")


def test_of_two_entries_of_one_tenant_the_first_has_a_value() -> None:
    found = [one.status for one in judged(entry("a"), entry("b", "bob", "alice"), entry("c", "alice"))]
    assert [one.state for one in found] == [AccessState.ACTIVE, AccessState.ACTIVE, AccessState.REFUSED]
    assert found[1].message.startswith("Value 'alice' belongs to entry a of this tenant")


def test_a_subject_of_the_cluster_belongs_to_one_tenant() -> None:
    pod = "system:serviceaccount:shop:web"
    one = judged(entry("pods", pod, key=None), others=(entry("older", pod, key=None),))[0]
    assert one.status.state is AccessState.REFUSED


def token(state: AccessState) -> list[TokenStatus]:
    return [TokenStatus(name="people", state=state)]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([], token(AccessState.ACTIVE), []),
        ([], token(AccessState.MISSING), ["TokensRefused"]),
        (token(AccessState.MISSING), token(AccessState.MISSING), []),
        (token(AccessState.MISSING), token(AccessState.ACTIVE), ["TokensAccepted"]),
        (token(AccessState.ACTIVE), token(AccessState.REFUSED), ["TokensRefused"]),
        (token(AccessState.ACTIVE), [], []),
    ],
)
def test_what_happens_to_an_entry_is_told_once(
    before: list[TokenStatus], after: list[TokenStatus], told: list[str]
) -> None:
    assert [verdict.reason for verdict in news(before, after)] == told
