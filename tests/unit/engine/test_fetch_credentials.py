import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shimmy_engine.fetch.credentials import AccessKey, Credentials, Login
from shimmy_engine.gguf_header import GgufError

SECRET = "do-not-tell"


def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def test_nothing_is_shown_where_nothing_is_known(tmp_path: Path) -> None:
    credentials = Credentials(None, home(tmp_path))
    assert credentials.for_web() is None
    assert credentials.for_s3() is None
    assert credentials.for_registry("registry.example") is None


def test_a_folder_counts_alone(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    environment = home(tmp_path) | {"AWS_ACCESS_KEY_ID": "laptop", "AWS_SECRET_ACCESS_KEY": SECRET}
    assert Credentials(None, environment).for_s3() == AccessKey("laptop", SECRET)
    with pytest.raises(GgufError) as caught:
        Credentials(tmp_path / "secret", environment).for_s3()
    assert caught.value.reason == "CredentialsMissing"
    assert Credentials(tmp_path / "secret", environment).aws_profile("AWS_CONFIG_FILE", "config") == {}


@pytest.mark.parametrize(
    ("address", "registry", "known"),
    [
        *(("registry.example", "registry.example", True), ("https://registry.example/v2/", "registry.example", True)),
        *(("https://index.docker.io/v1/", "docker.io", True), ("registry.example:5000", "registry.example", False)),
        *(("registry.example.evil", "registry.example", False), ("evil/registry.example", "registry.example", False)),
    ],
)
def test_a_login_is_for_its_registry_only(tmp_path: Path, address: str, registry: str, known: bool) -> None:
    (tmp_path / ".docker").mkdir()
    entry = {"username": "me", "password": SECRET}
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {address: entry}}))
    found = Credentials(None, home(tmp_path)).for_registry(registry)
    assert found == (Login("me", SECRET) if known else None)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"auths": {"r": {"auth": "%%%"}}}', '{"auths": {"r": "x"}}'])
def test_a_broken_docker_configuration_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(GgufError) as caught:
        Credentials(tmp_path, {}).for_registry("r")
    assert caught.value.reason == "CredentialsMissing"


def test_a_broken_aws_configuration_is_told(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(f"aws_secret_access_key = {SECRET}\n")
    with pytest.raises(GgufError) as caught:
        Credentials(None, home(tmp_path)).for_s3()
    assert caught.value.reason == "CredentialsMissing"
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff\xfe")])
def test_an_entry_that_is_no_text_is_told(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "token")
    with pytest.raises(GgufError) as caught:
        Credentials(tmp_path, {}).for_web()
    assert caught.value.reason == "CredentialsMissing"


@pytest.mark.parametrize("secret", [Login("me", SECRET), AccessKey("id", SECRET, SECRET)])
def test_a_secret_is_not_in_what_is_printed(secret: object) -> None:
    assert SECRET not in repr(secret)
