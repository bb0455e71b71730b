from pathlib import Path

from typer.testing import CliRunner

from shimmy_api import names
from shimmy_engine.__main__ import app


def test_a_wrong_file_is_a_verdict(tmp_path: Path) -> None:
    arguments = ["check", str(tmp_path / "absent.gguf"), "--report", str(tmp_path / "report")]
    assert CliRunner().invoke(app, arguments).exit_code == names.FETCH_REFUSED


def test_a_source_that_does_not_answer_is_worth_another_try(tmp_path: Path) -> None:
    source, destination = "http://127.0.0.1:9/tiny.gguf", str(tmp_path / "tiny.gguf")
    arguments = ["fetch", source, destination, "--sha256", "0" * 64, "--report", str(tmp_path / "report")]
    assert CliRunner().invoke(app, arguments).exit_code == names.FETCH_UNREACHABLE
