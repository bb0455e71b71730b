"""What the router gets of an issuer's JSON Web Key Set."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.key_sets import ec_key, ed_key, key_set, rsa_key

from shimmy_operator.render.jwks import MAX_BYTES, read_key_set

RSA = rsa_key()
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
members = ["kty", "kid", "alg", "use", "key_ops", "crv", "n", "e", "x", "y", "d", "k", "x5c"]
strange_keys = st.dictionaries(
    st.sampled_from(members), anything | st.sampled_from(["RSA", "EC", "OKP", "P-256", "sig"])
)


@pytest.mark.parametrize(
    "key",
    [RSA, ec_key(), ec_key(crv="P-384", alg="ES384"), ec_key(crv="P-521", alg="ES512"), ed_key(alg="EdDSA")],
    ids=lambda key: key.get("crv", key["kty"]),
)
def test_a_public_key_stays_as_it_is(key: dict[str, Any]) -> None:
    found = read_key_set(key_set(key))
    assert json.loads(found.text) == {"keys": [key]}
    assert found.count == 1


def test_what_verifying_does_not_need_is_left_out() -> None:
    found = read_key_set(key_set({**RSA, "use": "sig", "key_ops": ["verify"], "x5c": ["MIIB"], "note": "ours"}))
    assert json.loads(found.text) == {"keys": [{**RSA, "use": "sig"}]}


def test_the_same_keys_give_the_same_text() -> None:
    turned = json.dumps({"more": 1, "keys": [dict(reversed(RSA.items()))]}, indent=2)
    assert read_key_set(turned) == read_key_set(key_set(RSA))


USELESS = {
    "for encryption": {**RSA, "use": "enc"},
    "for signing only": {**RSA, "key_ops": ["sign"]},
    "of another algorithm": {**RSA, "alg": "RSA-OAEP"},
    "of a curve that Envoy does not know": {**ec_key(), "crv": "secp256k1"},
    "of another curve's algorithm": {**ec_key(), "alg": "ES384"},
    "that is no point of its curve": {**ec_key(), "x": "AAAA", "y": "AAAA"},
    "that is too short for its curve": {**ed_key(), "x": "AAAA"},
    "of a kind that nobody knows": {"kty": "XYZ", "kid": "x"},
    "without a number": {key: value for key, value in RSA.items() if key != "n"},
    "with a number that is none": {**RSA, "n": "***"},
    "with an id that is no text": {**RSA, "kid": 7},
    "that is no object": "key",
}


@pytest.mark.parametrize("why", USELESS)
def test_a_key_of_no_use_is_left_out_beside_others_and_refused_alone(why: str) -> None:
    assert read_key_set(key_set(RSA, USELESS[why])) == read_key_set(key_set(RSA))
    with pytest.raises(ValueError, match="no public key"):
        read_key_set(key_set(USELESS[why]))


def test_a_short_rsa_key_is_of_no_use() -> None:
    with pytest.raises(ValueError, match="no public key"):
        read_key_set(key_set(rsa_key(bits=1024)))


@pytest.mark.parametrize(
    "secret", [{**RSA, "d": "secret-part"}, {"kty": "oct", "k": "secret-part"}], ids=["RSA", "oct"]
)
def test_a_set_with_a_secret_part_is_refused_whole_and_not_quoted(secret: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="private or symmetric") as refusal:
        read_key_set(key_set(ec_key(), secret))
    assert "secret-part" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"keys": {}}', '{"keys": []}', "[" * 10_000, '"keys"'])
def test_what_is_no_key_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no JSON|has no public key"):
        read_key_set(text)


def test_a_set_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        read_key_set(key_set({**RSA, "x5c": ["A" * MAX_BYTES]}))


def test_more_keys_than_a_rotation_needs_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 64 keys"):
        read_key_set(key_set(*[{**ed_key(), "kid": str(number)} for number in range(65)]))


@given(st.text() | st.lists(strange_keys | anything).map(lambda keys: json.dumps({"keys": keys})))
def test_whatever_an_issuer_gives_only_public_members_come_out(text: str) -> None:
    try:
        found = read_key_set(text)
    except ValueError:
        return
    keys = json.loads(found.text)["keys"]
    assert len(keys) == found.count
    assert all(key.keys() <= {"kty", "kid", "alg", "use", "crv", "n", "e", "x", "y"} for key in keys)
