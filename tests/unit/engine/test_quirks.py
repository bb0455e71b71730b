import pytest

from shimmy_engine.quirks import TABLE, UnknownShimmyError, release_of


@pytest.mark.parametrize(
    ("told", "line", "build", "measured"),
    [
        ("shimmy 1.8.1", "llama", "upstream", True),
        ("shimmy 1.8.1+fleet.1", "llama", "fleet", True),
        ("2.6.5", "airframe", "upstream", True),
        ("shimmy 2.6.5+fleet.1", "airframe", "fleet", True),
        ("shimmy 1.9.0", "llama", "upstream", False),
        ("shimmy 2.7.0", "airframe", "upstream", False),
        ("shimmy 3.0.0", "airframe", "upstream", False),
    ],
)
def test_a_version_finds_its_row_and_a_newer_one_the_newest(told: str, line: str, build: str, measured: bool) -> None:
    release = release_of(told)
    assert (release.quirks.line, release.quirks.build, release.measured) == (line, build, measured)


@pytest.mark.parametrize("told", ["shimmy 1.7.9", "shimmy 2.5.0", "0.9.1", "", "curl 7", "Python 3.11"])
def test_what_is_too_old_or_no_shimmy_is_refused(told: str) -> None:
    with pytest.raises(UnknownShimmyError):
        release_of(told)


def test_lines_and_builds_are_named_once() -> None:
    assert len({(row.line, row.build, row.since) for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("prompt", "answer"), [(1, 248), (40, 209), (200, 49), (249, 0), (300, -51)])
def test_an_unpatched_2_6_leaves_what_its_budget_leaves(prompt: int, answer: int) -> None:
    assert release_of("2.6.5").quirks.longest_answer(prompt, 8192) == answer


def test_a_patched_one_leaves_the_rest_of_the_context() -> None:
    assert release_of("2.6.5+fleet.1").quirks.longest_answer(300, 8192) == 7892
    assert release_of("2.6.5").quirks.longest_answer(60, 64) == 4
