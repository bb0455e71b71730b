"""Objects in a real store that speaks S3's API."""

import hashlib
import logging
from pathlib import Path

import pytest
from tests.fetch.stores import KEY, REGION, SECRET, Store

from shimmy_engine.fetch.file import fetch_file
from shimmy_engine.fetch.options import FetchOptions
from shimmy_engine.gguf_header import GgufError

OBJECT = "llm/toy%20one.gguf"


def keyed(secret: Path, key: str = SECRET) -> FetchOptions:
    (secret / "access-key-id").write_text(KEY)
    (secret / "secret-access-key").write_text(key + "\n")
    return FetchOptions(credentials=secret)


def test_an_object_is_fetched_with_the_key_of_a_secret(
    s3: Store, model: bytes, destination: Path, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "shimmy_engine")
    digest = hashlib.sha256(model).hexdigest()
    assert fetch_file(s3.url(OBJECT), destination, digest, keyed(secret)).sha256 == digest
    assert destination.read_bytes() == model
    assert "Signature" not in caplog.text
    assert SECRET not in caplog.text


def test_the_key_of_aws_own_variables_is_used_on_a_laptop(
    s3: Store, model: bytes, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    monkeypatch.setenv("AWS_REGION", REGION)
    fetch_file(f"s3://models/{OBJECT}", destination, hashlib.sha256(model).hexdigest())
    assert destination.read_bytes() == model


def test_the_profile_that_is_chosen_is_used_on_a_laptop(
    s3: Store, model: bytes, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path.home() / ".aws"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text(
        f"[default]\naws_access_key_id = other\naws_secret_access_key = other\n"
        f"[lab]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    )
    (folder / "config").write_text(f"[profile lab]\nregion = {REGION}\nendpoint_url = {s3.endpoint}\n")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    fetch_file(f"s3://models/{OBJECT}", destination, hashlib.sha256(model).hexdigest())
    assert destination.read_bytes() == model


def test_what_the_source_and_the_secret_say_counts_before_the_environment(
    s3: Store, model: bytes, destination: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_REGION": "elsewhere",
        "AWS_ACCESS_KEY_ID": "other",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_SESSION_TOKEN": "other",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        "AWS_SKIP_SIGNATURE": "true",
    }.items():
        monkeypatch.setenv(name, value)
    fetch_file(s3.url(OBJECT), destination, hashlib.sha256(model).hexdigest(), keyed(secret))
    assert destination.read_bytes() == model


@pytest.mark.parametrize(
    ("key", "name", "reason"),
    [("wrong", OBJECT, "AccessDenied"), (SECRET, "absent.gguf", "SourceMissing"), (None, OBJECT, "AccessDenied")],
)
def test_a_refusal_of_the_store_is_told(
    s3: Store, destination: Path, secret: Path, key: str | None, name: str, reason: str
) -> None:
    options = keyed(secret, key) if key else FetchOptions()
    with pytest.raises(GgufError) as caught:
        fetch_file(s3.url(name), destination, "0" * 64, options)
    assert caught.value.reason == reason
    assert "Signature" not in caught.value.message
    assert f"at {s3.endpoint}" in caught.value.message
    assert not destination.exists()


def test_a_secret_without_a_key_is_told(s3: Store, destination: Path, secret: Path) -> None:
    (secret / "token").write_text("of another kind")
    with pytest.raises(GgufError, match="lack access-key-id and secret-access-key") as caught:
        fetch_file(s3.url(OBJECT), destination, "0" * 64, FetchOptions(credentials=secret))
    assert caught.value.reason == "CredentialsMissing"
