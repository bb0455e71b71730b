"""Artifacts in the real registry."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.fetch.registries import PASSWORD, USER, Registry, TokenServer, basic_registry, token_registry

from shimmy_engine.fetch.file import fetch_file
from shimmy_engine.fetch.options import FetchOptions
from shimmy_engine.fetch.registry_auth import RegistryAuth, parse_challenge
from shimmy_engine.gguf_header import GgufError


def refusal(source: str, destination: Path, sha256: str | None = None, secret: Path | None = None) -> GgufError:
    with pytest.raises(GgufError) as caught:
        fetch_file(source, destination, sha256, FetchOptions(credentials=secret))
    assert not destination.exists()
    return caught.value


def test_a_model_is_found_by_its_title(registry: Registry, model: bytes, destination: Path) -> None:
    digest = registry.push("models/titled", "v1", {"README.md": b"read me", "toy.Q8_0.gguf": model})
    fetch_file(f"oci://{registry.address}/models/titled@{digest}", destination)
    assert destination.read_bytes() == model


def test_a_model_is_found_by_its_media_type(registry: Registry, model: bytes, destination: Path) -> None:
    digest = registry.push("models/typed", "v1", {"": model}, "application/vnd.docker.ai.gguf.v3")
    fetch_file(f"oci://{registry.address}/models/typed@{digest}", destination)
    assert destination.read_bytes() == model


def test_a_tag_needs_the_files_own_digest(registry: Registry, model: bytes, destination: Path) -> None:
    registry.push("models/tagged", "v1", {"toy.gguf": model})
    source = f"oci://{registry.address}/models/tagged:v1"
    with pytest.raises(ValueError, match="sha256 is required"):
        fetch_file(source, destination)
    assert refusal(source, destination, "0" * 64).reason == "ChecksumMismatch"
    fetch_file(source, destination, hashlib.sha256(model).hexdigest())
    assert destination.read_bytes() == model


def test_an_artifact_that_is_there_is_not_fetched_again(registry: Registry, model: bytes, destination: Path) -> None:
    digest = registry.push("models/twice", "v1", {"toy.gguf": model})
    source = f"oci://{registry.address}/models/twice@{digest}"
    fetch_file(source, destination)
    before = destination.stat().st_ino
    fetch_file(source, destination)
    assert destination.stat().st_ino == before


def test_of_several_models_one_must_be_chosen(registry: Registry, model: bytes, destination: Path) -> None:
    digest = registry.push("models/several", "v1", {"a.gguf": b"another", "b.gguf": model})
    source = f"oci://{registry.address}/models/several@{digest}"
    error = refusal(source, destination)
    assert (error.reason, "a.gguf, b.gguf" in error.message) == ("SourceAmbiguous", True)
    assert refusal(f"{source}?file=c.gguf", destination).reason == "SourceMissing"
    fetch_file(f"{source}?file=b.gguf", destination)
    assert destination.read_bytes() == model


def test_an_index_of_one_is_followed_and_of_several_is_not(registry: Registry, model: bytes, destination: Path) -> None:
    first = registry.push("models/index", "v1", {"toy.gguf": model})
    second = registry.push("models/index", "v2", {"toy.gguf": b"another"})
    both = registry.push_index("models/index", "both", [first, second])
    error = refusal(f"oci://{registry.address}/models/index@{both}", destination)
    assert (error.reason, first in error.message) == ("SourceAmbiguous", True)
    one = registry.push_index("models/index", "one", [first])
    fetch_file(f"oci://{registry.address}/models/index@{one}", destination)
    assert destination.read_bytes() == model


def test_what_is_not_there_is_told(registry: Registry, destination: Path) -> None:
    digest = registry.push("models/none", "v1", {"README.md": b"read me"})
    error = refusal(f"oci://{registry.address}/models/none@{digest}", destination)
    assert (error.reason, "README.md" in error.message) == ("SourceMissing", True)
    assert refusal(f"oci://{registry.address}/models/none:v2", destination, "0" * 64).reason == "SourceMissing"


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory, model: bytes) -> Iterator[Registry]:
    with basic_registry(tmp_path_factory.mktemp("basic") / "registry") as running:
        running.push("models/toy", "v1", {"toy.gguf": model})
        yield running


def test_a_registry_with_a_password_takes_it_from_a_secret(
    basic: Registry, model: bytes, destination: Path, secret: Path
) -> None:
    source, digest = f"oci://{basic.address}/models/toy:v1", hashlib.sha256(model).hexdigest()
    assert refusal(source, destination, digest).reason == "AccessDenied"
    (secret / "username").write_text(USER)
    (secret / "password").write_text("wrong")
    error = refusal(source, destination, digest, secret)
    assert (error.reason, "wrong" in error.message) == ("AccessDenied", False)
    (secret / "password").write_text(PASSWORD)
    fetch_file(source, destination, digest, FetchOptions(credentials=secret))
    assert destination.read_bytes() == model


@pytest.mark.parametrize("place", ["config.json", ".dockerconfigjson", "laptop"])
def test_what_docker_login_writes_is_understood(
    basic: Registry, model: bytes, destination: Path, secret: Path, place: str
) -> None:
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    path = Path.home() / ".docker" / "config.json" if place == "laptop" else secret / place
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = {"other.example": {"auth": "eDp5"}, f"http://{basic.address}/v1/": {"auth": login}}
    path.write_text(json.dumps({"auths": entries}))
    options = FetchOptions(credentials=None if place == "laptop" else secret)
    fetch_file(f"oci://{basic.address}/models/toy:v1", destination, hashlib.sha256(model).hexdigest(), options)
    assert destination.read_bytes() == model


def test_a_registry_that_wants_tokens_gets_one_for_the_login(
    tmp_path: Path, model: bytes, destination: Path, secret: Path
) -> None:
    (secret / "username").write_text(USER)
    (secret / "password").write_text(PASSWORD)
    with token_registry(tmp_path / "registry") as (running, tokens):
        _push_with_tokens(running, tokens, model)
        source = f"oci://{running.address}/models/toy:v1"
        assert refusal(source, destination, "0" * 64).reason == "AccessDenied"
        fetch_file(source, destination, hashlib.sha256(model).hexdigest(), FetchOptions(credentials=secret))
        assert tokens.issued[-1] == "repository:models/toy:pull"
    assert destination.read_bytes() == model


def _push_with_tokens(running: Registry, tokens: TokenServer, model: bytes) -> None:
    header = {"authorization": f"Bearer {tokens.token('repository:models/toy:pull,push')}"}

    class Writer(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
            request.headers.update(header)
            yield request

    Registry(running.address, Writer()).push("models/toy", "v1", {"toy.gguf": model})


def test_a_password_is_not_sent_where_everybody_can_read_it() -> None:
    from shimmy_engine.fetch.credentials import Login

    flow = RegistryAuth(Login(USER, PASSWORD), "oci://registry.example/tiny").sync_auth_flow(
        httpx.Request("GET", "https://registry.example/v2/")
    )
    request = next(flow)
    challenge = {"www-authenticate": 'Bearer realm="http://elsewhere.example/token",service="x"'}
    with pytest.raises(GgufError, match="without encryption"):
        flow.send(httpx.Response(401, headers=challenge, request=request))


def test_a_challenge_is_read() -> None:
    header = 'Bearer realm="https://auth.example/token",service="registry", scope="repository:a/b:pull,push"'
    assert parse_challenge(header) == (
        "bearer",
        {"realm": "https://auth.example/token", "service": "registry", "scope": "repository:a/b:pull,push"},
    )
    assert parse_challenge("") == ("", {})
