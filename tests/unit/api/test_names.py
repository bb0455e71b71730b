import re

from hypothesis import given
from hypothesis import strategies as st

from shimmy_api import names
from shimmy_api.fields import DNS_LABEL

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


def test_long_names_that_differ_at_their_end_stay_different() -> None:
    assert names.bounded("a" * 80 + "x") != names.bounded("a" * 80 + "y")
