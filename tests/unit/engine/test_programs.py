from pathlib import Path

import pytest

from shimmy_engine.programs import find_program, identify
from shimmy_engine.quirks import UnknownShimmyError


def program(folder: Path, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "shimmy"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "no-cargo"))
    monkeypatch.delenv("SHIMMY_BINARY", raising=False)


def test_the_one_given_goes_before_the_variable_before_the_path_before_cargos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [program(tmp_path / name, "") for name in ("given", "variable", "path")]
    cargo = program(tmp_path / "cargo", "")
    (tmp_path / "cargo-home").mkdir()
    (tmp_path / "cargo-home" / "bin").symlink_to(cargo.parent)
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo-home"))
    assert find_program(None) == tmp_path / "cargo-home" / "bin" / "shimmy"
    monkeypatch.setenv("PATH", f"{places[2].parent}:/usr/bin:/bin")
    assert find_program(None) == places[2]
    monkeypatch.setenv("SHIMMY_BINARY", str(places[1]))
    assert find_program(None) == places[1]
    assert find_program(places[0]) == places[0]


def test_without_one_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnknownShimmyError, match="cargo install shimmy"):
        find_program(None)
    with pytest.raises(UnknownShimmyError, match="no program"):
        find_program(tmp_path)


def test_its_version_decides_what_it_is(tmp_path: Path) -> None:
    assert identify(program(tmp_path, "echo shimmy 1.8.1+fleet.1")).quirks.cancels


@pytest.mark.parametrize("script", ["exit 3", "echo; exit 0", "echo hello"])
def test_a_program_that_tells_no_version_is_refused(tmp_path: Path, script: str) -> None:
    with pytest.raises(UnknownShimmyError):
        identify(program(tmp_path, script))
