"""What the tests of fetching have in common."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from tests.fakes.shimmy import toy_gguf
from tests.fetch.registries import Registry, open_registry
from tests.fetch.stores import Store, store

_ENVIRONMENT = ("AWS_", "HF_", "HUGGING_FACE_", "DOCKER_CONFIG", "HTTP", "NO_PROXY", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have credentials, mirrors and proxies of their own."""
    for name in list(os.environ):
        if name.upper().startswith(_ENVIRONMENT):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return toy_gguf.write(tmp_path_factory.mktemp("model") / "toy.gguf").read_bytes()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory, model: bytes) -> Iterator[Store]:
    with store(tmp_path_factory.mktemp("s3") / "store") as running:
        running.put("llm/toy one.gguf", model)
        yield running


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with open_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "volume" / "model.gguf"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """An empty folder where a Secret would be mounted."""
    folder = tmp_path / "secret"
    folder.mkdir()
    return folder
