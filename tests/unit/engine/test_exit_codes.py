import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shimmy_api import names
from shimmy_engine.__main__ import app


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


def ended(*arguments: object) -> int:
    return CliRunner().invoke(app, [str(argument) for argument in arguments]).exit_code


def test_a_wrong_file_is_a_verdict(tmp_path: Path) -> None:
    assert ended("check", tmp_path / "absent.gguf", "--report", tmp_path / "report") == names.FETCH_REFUSED


def test_a_source_that_does_not_answer_is_worth_another_try(tmp_path: Path) -> None:
    arguments = ("fetch", "http://127.0.0.1:9/tiny.gguf", tmp_path / "tiny.gguf", "--sha256", "0" * 64)
    assert ended(*arguments, "--report", tmp_path / "report") == names.FETCH_UNREACHABLE


def test_a_secret_that_is_not_there_yet_is_worth_another_try(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ("fetch", "s3://models/tiny.gguf", tmp_path / "tiny.gguf", "--sha256", "0" * 64)
    secret = ("--credentials", tmp_path / "empty")
    assert ended(*arguments, *secret, "--report", tmp_path / "report") == names.FETCH_UNREACHABLE
    assert "CredentialsMissing" in (tmp_path / "report").read_text()


@pytest.mark.parametrize("offline", [("--offline",), ()])
def test_offline_is_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: tuple[str, ...]) -> None:
    if not offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    arguments = ("fetch", "hf://org/tiny", tmp_path / "folder", *offline, "--report", tmp_path / "report")
    assert ended(*arguments) == names.FETCH_REFUSED
    assert "Offline" in (tmp_path / "report").read_text()


@pytest.mark.parametrize("source", ["ftp://h/x", "https://h/x.gguf", "hf://org/tiny@main/x.gguf", "pvc://claim/x.gguf"])
def test_a_source_that_cannot_be_used_is_a_mistake_in_the_command(tmp_path: Path, source: str) -> None:
    assert ended("fetch", source, tmp_path / "x.gguf") == 2
