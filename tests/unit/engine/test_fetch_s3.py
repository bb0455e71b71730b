"""Addresses of objects; whether a store accepts their signatures is for the tier `fetch`."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from shimmy_api.sources import S3Source
from shimmy_engine.fetch.credentials import Credentials
from shimmy_engine.fetch.s3 import find_in_s3

OBJECT = S3Source("models", "llm/toy one.gguf", None, None)


def address(environment: dict[str, str], source: S3Source = OBJECT, folder: Path | None = None) -> str:
    return find_in_s3(source, Credentials(folder, environment), environment).address()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "https://s3.us-east-1.amazonaws.com/models/llm/toy%20one.gguf"),
        ({"AWS_DEFAULT_REGION": "eu-west-7"}, "https://s3.eu-west-7.amazonaws.com/models/llm/toy%20one.gguf"),
        ({"AWS_ENDPOINT_URL": "http://gate.example/s3/"}, "http://gate.example/s3/models/llm/toy%20one.gguf"),
    ],
)
def test_without_a_key_an_object_is_asked_for_as_everybody_may(environment: dict[str, str], expected: str) -> None:
    assert address({"HOME": "/absent"} | environment) == expected


@pytest.mark.parametrize("token", [None, "a-session"])
def test_a_key_signs_the_address(tmp_path: Path, token: str | None) -> None:
    (tmp_path / "access-key-id").write_text("an-id")
    (tmp_path / "secret-access-key").write_text("a-secret")
    if token:
        (tmp_path / "session-token").write_text(token)
    source = S3Source("models", "toy.gguf", "http://gate.example:9000/s3", "eu-west-7")
    found = urlsplit(address({}, source, tmp_path))
    query = parse_qs(found.query)
    assert f"{found.scheme}://{found.netloc}{found.path}" == "http://gate.example:9000/s3/models/toy.gguf"
    assert query["X-Amz-Credential"][0].startswith("an-id/")
    assert query["X-Amz-Credential"][0].endswith("/eu-west-7/s3/aws4_request")
    assert query.get("X-Amz-Security-Token") == ([token] if token else None)
    assert "a-secret" not in found.query
