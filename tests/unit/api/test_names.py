import re

from hypothesis import given
from hypothesis import strategies as st

from shimmy_api import names
from shimmy_api.fields import DNS_LABEL

subdomains = st.from_regex(re.compile(r"[a-z0-9]{1,8}([-.][a-z0-9]{1,8}){0,5}"), fullmatch=True)
labels = st.from_regex(re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"), fullmatch=True)


@given(labels, labels)
def test_a_serving_name_is_a_dns_label_that_leaves_room_for_pod_suffixes(instance: str, model: str) -> None:
    name = names.serving(instance, model)
    assert re.match(DNS_LABEL, name)
    assert len(name) <= 52


@given(st.lists(labels, min_size=1, max_size=3))
def test_bounding_is_deterministic_and_keeps_short_names(parts: list[str]) -> None:
    joined = "-".join(parts)
    assert names.bounded(*parts) == names.bounded(*parts)
    if len(joined) <= names.MAX_LABEL:
        assert names.bounded(*parts) == joined


@given(subdomains, subdomains)
def test_whatever_instance_and_model_are_called_their_service_has_a_valid_name(instance: str, model: str) -> None:
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", names.serving(instance, model))


def test_names_that_differ_in_dots_alone_stay_different() -> None:
    assert len({names.serving("chat", model) for model in ("llama-3.2", "llama-3-2", "llama.3.2", "llama.3-2")}) == 4


def test_long_names_that_differ_at_their_end_stay_different() -> None:
    assert names.bounded("a" * 80 + "x") != names.bounded("a" * 80 + "y")
