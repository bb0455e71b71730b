import pytest

from shimmy_api.sources import (
    HttpSource,
    HubSource,
    OciSource,
    S3Source,
    VolumeSource,
    names_its_content,
    parse_source,
)

DIGEST = f"sha256:{'a' * 64}"
COMMIT = "0123456789abcdef" * 2 + "01234567"
SOURCES = {
    "pvc://models/llm/tiny.gguf": VolumeSource("models", "llm/tiny.gguf"),
    "https://example.org/a/tiny%20one.gguf?x=1": HttpSource(
        "https://example.org/a/tiny%20one.gguf?x=1", "tiny one.gguf"
    ),
    "s3://models/llm/tiny.gguf": S3Source("models", "llm/tiny.gguf", None, None),
    "s3://models/tiny.gguf?endpoint=http://minio:9000&region=eu-west-1": S3Source(
        "models", "tiny.gguf", "http://minio:9000", "eu-west-1"
    ),
    "oci://registry.example:5000/ai/tiny:v1": OciSource("registry.example:5000", "ai/tiny", "v1", None, None),
    f"oci://[::1]:5000/tiny@{DIGEST}?file=tiny.gguf": OciSource("[::1]:5000", "tiny", None, DIGEST, "tiny.gguf"),
    "hf://org/tiny": HubSource("org/tiny", "main", None),
    f"hf://org/tiny@{COMMIT}/q8/tiny.gguf": HubSource("org/tiny", COMMIT, "q8/tiny.gguf"),
}


@pytest.mark.parametrize("url", SOURCES)
def test_a_source_is_read(url: str) -> None:
    assert parse_source(url) == SOURCES[url]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/a/tiny.gguf?x=1", "tiny.gguf"),
        ("s3://models/llm/tiny.gguf?region=x", "tiny.gguf"),
        ("oci://registry.example/ai/tiny:v1", "model.gguf"),
        ("oci://registry.example/ai/tiny:v1?file=tiny.gguf", "tiny.gguf"),
        ("hf://org/tiny/q8/tiny.gguf", "tiny.gguf"),
    ],
)
def test_a_file_that_is_fetched_keeps_its_name(url: str, name: str) -> None:
    source = parse_source(url)
    assert not isinstance(source, VolumeSource)
    assert source.file_name == name


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        *((f"oci://r/tiny@{DIGEST}", True), ("oci://r/tiny:v1", False)),
        *((f"hf://o/n@{COMMIT}/x.gguf", True), (f"hf://o/n@{COMMIT[:7]}/x.gguf", False), ("hf://o/n/x.gguf", False)),
        *(("https://h/x.gguf", False), ("s3://bucket/x.gguf", False)),
    ],
)
def test_only_a_digest_or_a_commit_names_the_content(url: str, expected: bool) -> None:
    assert names_its_content(parse_source(url)) is expected


@pytest.mark.parametrize(
    "url",
    [
        *("", "tiny.gguf", "pvc://", "pvc://claim", "pvc://claim/", "pvc://claim/../x", "pvc://claim/a//b"),
        *("ftp://h/x", "https://", "https://host/", "https://user:secret@host/x.gguf", "https://host/a/.."),
        *("https://host/%2e%2e", "s3://b/x", "s3://models", "s3://models/", "s3://models/../x", "s3://models/%2e%2e/x"),
        *("s3://models/x?color=red", "s3://user:pw@models/x", "s3://models/x?endpoint=ftp://h"),
        *("s3://models/x?endpoint=http://u:secret@h", "oci://r", "oci://r/Tiny:v1", "oci://r/tiny", "oci://r/tiny:"),
        *("oci://r/tiny@sha256:00", "oci://r/tiny:v1?file=../x", "oci://r/tiny:v1?color=red", "hf://org", "hf://"),
        *("https://h:99999/x", "https://h:port/x", "http://h:0/x", "oci://r:99999/x:v1"),
        *("s3://models/x?endpoint=http://h:99999", "hf://org/name@main/../x"),
        *("hf://org/name/", "hf://org/name/../x", "hf://org/name@/x", "hf://../name/x"),
    ],
)
def test_other_urls_are_refused_with_a_reason(url: str) -> None:
    with pytest.raises(ValueError, match=r"only|not|no host|[Pp]ort") as caught:
        parse_source(url)
    assert ":secret" not in str(caught.value)
