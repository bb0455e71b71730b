import pytest

from shimmy_engine.quirks import release_of
from shimmy_engine.requests import Generation, RefusedError
from shimmy_engine.suitability import refuse_small_context, refuse_too_long, refuse_unsuitable

CHAT = (("user", "hi"),)


@pytest.mark.parametrize(
    ("version", "generation", "param"),
    [
        ("1.8.1", Generation(CHAT, temperature=0.7), "temperature"),
        ("1.8.1", Generation(CHAT, top_p=0.5), "top_p"),
        ("1.8.1", Generation(CHAT, seed=1), "seed"),
        ("2.6.5", Generation(CHAT, seed=1), "seed"),
        ("1.8.1+fleet.1", Generation((("user", "hi"), ("assistant", "yes"))), "messages"),
    ],
)
def test_what_a_build_would_ignore_is_refused_by_name(version: str, generation: Generation, param: str) -> None:
    with pytest.raises(RefusedError) as refused:
        refuse_unsuitable(release_of(version).quirks, generation)
    assert refused.value.error.param == param


@pytest.mark.parametrize("version", ["1.8.1", "1.8.1+fleet.1", "2.6.5", "2.6.5+fleet.1"])
def test_what_every_build_does_passes(version: str) -> None:
    refuse_unsuitable(release_of(version).quirks, Generation(CHAT, temperature=0.0, top_p=1.0))


def test_a_context_that_is_smaller_than_the_caller_counts_on_is_refused() -> None:
    refuse_small_context(2048, Generation(CHAT))
    refuse_small_context(2048, Generation(CHAT, context=2048))
    with pytest.raises(RefusedError) as refused:
        refuse_small_context(2048, Generation(CHAT, context=2049))
    assert refused.value.error.param == "options.num_ctx"
    assert "2048" in refused.value.error.message


@pytest.mark.parametrize("version", ["1.8.1+fleet.1", "2.6.5+fleet.1"])
@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a" * 1_900_000, True),
        ("a" * 2_100_000, False),
        ("\n" * 900_000, True),  # escaped, two bytes each
        ("\n" * 1_100_000, False),
        ("\u20ac" * 600_000, True),  # three bytes each
        ("\u20ac" * 700_000, False),
    ],
    ids=["letters", "many letters", "lines", "many lines", "signs", "many signs"],
)
def test_a_text_that_shimmy_takes_no_more_is_refused_by_its_bytes_there(version: str, text: str, fits: bool) -> None:
    quirks = release_of(version).quirks
    for generation in (Generation((("user", text),)), Generation(prompt=text)):
        if fits:
            refuse_too_long(quirks, generation)
            continue
        with pytest.raises(RefusedError) as refused:
            refuse_too_long(quirks, generation)
        assert (refused.value.error.status, refused.value.error.code) == (413, "request_too_large")
