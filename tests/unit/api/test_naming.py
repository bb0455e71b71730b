import re

from hypothesis import given
from hypothesis import strategies as st

from shimmy_api.fields import DNS_LABEL
from shimmy_api.naming import distinct, dns_label


@given(st.text())
def test_any_text_gives_a_valid_name_and_always_the_same(text: str) -> None:
    name = dns_label(text)
    assert re.fullmatch(DNS_LABEL, name)
    assert len(name) <= 63
    assert dns_label(text) == name


@given(st.text(), st.lists(st.text(), unique=True, max_size=20))
def test_names_that_would_collide_become_distinct_and_stay_valid(text: str, keys: list[str]) -> None:
    taken: set[str] = set()
    for key in keys:
        name = distinct(dns_label(text), key, taken)
        assert name not in taken
        assert re.fullmatch(DNS_LABEL, name)
        assert len(name) <= 63
        taken.add(name)


def test_names_resemble_what_they_come_from() -> None:
    assert dns_label("Llama-3.2-1B-Instruct.Q4_K_M") == "llama-3-2-1b-instruct-q4-k-m"
    assert dns_label("Émile's model") == "emile-s-model"
    assert dns_label("模型") == "model"
    assert distinct("toy", "a", ()) == "toy"
    assert distinct("toy", "a", ("toy",)).startswith("toy-")
