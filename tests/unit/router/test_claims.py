"""Whose a token is where tenants contradict one another."""

from shimmy_router.claims import TokenClaims
from shimmy_router.fleet import Token

AGES = {"old": ("2026-01-01T00:00:00Z", "old"), "new": ("2026-02-01T00:00:00Z", "new")}


def token(name: str, *values: str, claim: str = "sub", jwks: str = "{}", audience: str = "shimmy") -> Token:
    return Token(name, "https://login.example", audience, claim, values, jwks)


def claims(**tokens: tuple[Token, ...]) -> TokenClaims:
    made = TokenClaims(AGES.__getitem__)
    for tenant, found in tokens.items():
        made.put(tenant, found)
    return made


def test_a_subject_belongs_to_the_older_tenant_whoever_came_first() -> None:
    both = claims(new=(token("t", "a", "b"),), old=(token("t", "a"),))
    assert both.admitted("old") == (token("t", "a"),)
    assert both.admitted("new") == (token("t", "b"),)
    assert both.denied == {"new": ("t",)}


def test_another_audience_is_another_subject() -> None:
    both = claims(new=(token("t", "a"),), old=(token("t", "a", audience="other"),))
    assert both.admitted("new") == (token("t", "a"),)


def test_an_issuers_keys_and_claim_are_the_older_tenants() -> None:
    for other in (token("t", "b", claim="email"), token("t", "b", jwks='{"keys": []}')):
        both = claims(new=(other,), old=(token("t", "a"),))
        assert both.admitted("new") == ()
        assert both.denied == {"new": ("t",)}


def test_of_two_entries_of_one_tenant_the_first_counts() -> None:
    assert claims(old=(token("s", "a"), token("t", "a", "b"))).admitted("old") == (token("s", "a"), token("t", "b"))


def test_what_the_older_tenant_gives_up_goes_to_the_other_one() -> None:
    both = claims(new=(token("t", "a"),), old=(token("t", "a"),))
    assert both.admitted("new") == ()
    assert both.put("old", ()) == {"old", "new"}
    assert both.admitted("new") == (token("t", "a"),)
    assert both.denied == {}
