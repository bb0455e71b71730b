"""Where a model's file comes from: the URLs of ShimmyModel.spec.backend."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_HUB: Final = re.compile(rf"({_PART}/{_PART})(?:@({_PART}))?(?:/(.+))?")
_OCI: Final = re.compile(
    r"(?P<registry>[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9A-Fa-f:]+\](:[0-9]+)?)"
    r"/(?P<repository>[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))"
)
"""Grammar of references: https://github.com/opencontainers/distribution-spec/blob/main/spec.md (pulling manifests)."""
_OCI_FILE_NAME: Final = "model.gguf"


@dataclass(frozen=True, slots=True)
class VolumeSource:
    """A file on a PersistentVolumeClaim of the model's namespace."""

    claim_name: str
    path: str


@dataclass(frozen=True, slots=True)
class HttpSource:
    """A file that is fetched once by HTTP or HTTPS."""

    url: str
    file_name: str
    """Name under which the file is kept."""


@dataclass(frozen=True, slots=True)
class S3Source:
    """An object in S3 or a store that speaks its API."""

    bucket: str
    key: str
    endpoint: str | None
    """Base URL of the store; where the fetching process says, or AWS, if absent."""
    region: str | None

    @property
    def file_name(self) -> str:
        """Name under which the file is kept."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class OciSource:
    """A layer of an artifact in a registry. Exactly one of `tag` and `digest` is set."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None
    """Of the manifest, as `sha256:HEX`."""
    title: str | None
    """Which layer, where the artifact has several: its annotation org.opencontainers.image.title."""

    @property
    def file_name(self) -> str:
        """Name under which the file is kept."""
        return self.title or _OCI_FILE_NAME


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on Hugging Face or a mirror of it, or one file in it."""

    repository: str
    """ORGANISATION/NAME."""
    revision: str
    """Branch, tag or commit."""
    path: str | None
    """The file; None for the whole repository."""

    @property
    def file_name(self) -> str:
        """Name under which the file is kept."""
        return (self.path or self.repository).rpartition("/")[2]


RemoteSource = HttpSource | S3Source | OciSource | HubSource
Source = VolumeSource | RemoteSource


def parse_source(url: str) -> Source:
    """Parse a source URL.

    Raises:
        ValueError: the URL is of no kind that is supported, or its path tries to leave the volume.

    """
    scheme, _, rest = url.partition("://")
    match scheme:
        case "pvc":
            return _volume(url, rest)
        case "http" | "https":
            return _http(url)
        case "s3":
            return _s3(url)
        case "oci":
            return _oci(url, rest)
        case "hf":
            return _hub(url, rest)
        case _:
            raise ValueError(f"{url!r}: only pvc://, http://, https://, s3://, oci:// and hf:// are supported")


def parse_folder(text: str, revision: str | None = None) -> VolumeSource | HubSource:
    """Parse what names a model's or adapter's folder: `pvc://CLAIM/FOLDER`, or `ORG/NAME[@REVISION]`.

    Raises:
        ValueError: it is neither.
    """
    source = parse_source(text if "://" in text else f"hf://{text}")
    match source:
        case VolumeSource():
            return source
        case HubSource(path=None):
            return HubSource(source.repository, revision or source.revision, None)
        case _:
            raise ValueError(f"{text!r} is neither pvc://CLAIM/FOLDER nor ORG/NAME")


def names_its_content(source: Source) -> bool:
    """Whether the source itself says what the content is, so that nobody can change it unseen."""
    match source:
        case OciSource():
            return source.digest is not None
        case HubSource():
            return _COMMIT.fullmatch(source.revision) is not None
        case _:
            return False


def _volume(url: str, rest: str) -> VolumeSource:
    claim, _, path = rest.partition("/")
    if not claim or not path or not _is_clean(path):
        raise ValueError(f"{url!r} is not pvc://CLAIM/PATH with a relative path inside the volume")
    return VolumeSource(claim, path)


def _http(url: str) -> HttpSource:
    split = urlsplit(url)
    _check_authority(split)
    name = unquote(split.path).rpartition("/")[2]
    if not split.hostname or name in ("", ".", "..") or "\0" in name:
        raise ValueError(f"{split.scheme}://{split.hostname or ''} names no host or no file")
    return HttpSource(url, name)


def _s3(url: str) -> S3Source:
    split = urlsplit(url)
    _check_authority(split)
    key = unquote(split.path).removeprefix("/")
    options = dict(parse_qsl(split.query, keep_blank_values=True))
    known = options.keys() <= {"endpoint", "region"}
    if not _BUCKET.fullmatch(split.netloc) or not key or not _is_clean(key) or not known or split.fragment:
        raise ValueError(f"{url!r} is not s3://BUCKET/KEY, with ?endpoint=URL&region=NAME where the store needs them")
    endpoint = options.get("endpoint")
    if endpoint is not None:
        base = urlsplit(endpoint)
        _check_authority(base)
        if base.scheme not in ("http", "https") or not base.hostname or base.query or base.fragment:
            raise ValueError(f"{endpoint!r} is not the http:// or https:// address of an S3 endpoint")
    return S3Source(split.netloc, key, endpoint, options.get("region"))


def _oci(url: str, rest: str) -> OciSource:
    reference, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    found = _OCI.fullmatch(reference)
    if found is not None:
        _check_authority(urlsplit(f"//{found['registry']}"))
    title = options.get("file")
    fine = options.keys() <= {"file"} and (title is None or (_is_clean(title) and "/" not in title))
    if found is None or not fine:
        raise ValueError(f"{url!r} is not oci://REGISTRY/REPOSITORY:TAG or …@sha256:DIGEST, with ?file=NAME if needed")
    return OciSource(found["registry"], found["repository"], found["tag"], found["digest"], title)


def _hub(url: str, rest: str) -> HubSource:
    found = _HUB.fullmatch(rest)
    if found is None or (found[3] is not None and not _is_clean(found[3])):
        raise ValueError(f"{url!r} is not hf://ORG/NAME[@REVISION][/PATH/TO/FILE]")
    return HubSource(found[1], found[2] or "main", found[3])


def _check_authority(split: SplitResult) -> None:
    """Refuse credentials, and by reading the port one that is none."""
    if split.port == 0:
        raise ValueError("0 is not a port")
    if split.username is not None or split.password is not None:
        raise ValueError("credentials do not belong into a model's URL")


def _is_clean(path: str) -> bool:
    return all(part not in ("", ".", "..") for part in path.split("/"))
