import pytest

from shimmy_api.sources import HttpSource, VolumeSource, parse_source


def test_a_file_on_a_volume() -> None:
    assert parse_source("pvc://models/llm/tiny.gguf") == VolumeSource("models", "llm/tiny.gguf")


def test_a_file_that_is_fetched_keeps_its_name() -> None:
    assert parse_source("https://example.org/a/tiny.gguf?x=1") == HttpSource(
        "https://example.org/a/tiny.gguf?x=1", "tiny.gguf"
    )


@pytest.mark.parametrize(
    "url",
    [
        *("", "tiny.gguf", "pvc://", "pvc://claim", "pvc://claim/", "pvc://claim/../x", "pvc://claim/a//b"),
        *("ftp://h/x", "https://", "https://host/", "https://user:secret@host/x.gguf"),
    ],
)
def test_other_urls_are_refused_with_a_reason(url: str) -> None:
    with pytest.raises(ValueError, match=r"only|not|no host|credentials"):
        parse_source(url)
