"""Models on Hugging Face and its mirrors.

The listing is asked for with this package's own client, because huggingface_hub's knows neither SSL_CERT_FILE nor a
further authority; the library reads the answer and knows the addresses.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
from huggingface_hub import hf_hub_url
from huggingface_hub.hf_api import ModelInfo, RepoSibling

from shimmy_api.sources import HubSource
from shimmy_engine.checksums import Checksum
from shimmy_engine.fetch.client import get_json
from shimmy_engine.fetch.credentials import Credentials
from shimmy_engine.fetch.remote import Remote
from shimmy_engine.gguf_header import GgufError

_ENDPOINT: Final = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository as the hub lists it."""

    path: str
    size: int | None
    remote: Remote


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit."""

    commit: str
    files: tuple[HubFile, ...]


def hub_endpoint(environment: Mapping[str, str] = os.environ) -> str:
    """Base URL of the hub: HF_ENDPOINT or huggingface.co."""
    return (environment.get("HF_ENDPOINT") or _ENDPOINT).rstrip("/")


def find_on_hub(source: HubSource, client: httpx.Client, credentials: Credentials) -> Remote:
    """One file of a repository, as it is at the commit that the revision names now.

    Raises:
        GgufError: SourceMissing, AccessDenied, SourceUnreachable, CredentialsMissing.
    """
    listing = list_hub(source, client, credentials)
    for file in listing.files:
        if file.path == source.path:
            return file.remote
    place = f"hf://{source.repository}@{source.revision}"
    raise GgufError("SourceMissing", f"{place} has no file {source.path}; {_offer(listing)}")


def list_hub(source: HubSource, client: httpx.Client, credentials: Credentials) -> Listing:
    """All files of a repository at the commit that the revision names now.

    Source: https://huggingface.co/docs/hub/api (GET /api/models/{repo_id}/revision/{revision}?blobs=true)

    Raises:
        GgufError: SourceMissing, AccessDenied, SourceUnreachable, CredentialsMissing.
    """
    endpoint, auth = hub_endpoint(), credentials.for_hub()
    place = f"hf://{source.repository}@{source.revision} at {endpoint}"
    revision = quote(source.revision, safe="")
    response = get_json(
        client, f"{endpoint}/api/models/{source.repository}/revision/{revision}?blobs=true", place, auth
    )
    try:
        info: Any = ModelInfo(**response.json())  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, KeyError) as error:
        raise GgufError("SourceUnreachable", f"{place} answered with something that is no listing") from error
    if not info.sha or not info.siblings:
        raise GgufError("SourceMissing", f"{place} lists no files")
    files = (_file(source, info.sha, sibling, endpoint, auth) for sibling in info.siblings)
    return Listing(info.sha, tuple(files))


def _file(source: HubSource, commit: str, sibling: RepoSibling, endpoint: str, auth: httpx.Auth | None) -> HubFile:
    path = sibling.rfilename
    url = hf_hub_url(source.repository, path, revision=commit, endpoint=endpoint)
    place = f"hf://{source.repository}@{commit}/{path} at {endpoint}"
    return HubFile(path, sibling.size, Remote(place, lambda: url, auth, _checksum(sibling)))


def _checksum(sibling: RepoSibling) -> Checksum | None:
    """What the hub tells: SHA-256 of large files, git's object id of small ones."""
    lfs: Any = sibling.lfs
    if lfs is not None:
        return Checksum("sha256", lfs.sha256)
    return Checksum("git-blob", sibling.blob_id) if sibling.blob_id else None


def _offer(listing: Listing) -> str:
    models = [file.path for file in listing.files if file.path.endswith(".gguf")]
    shown = ", ".join(models[:10]) + (" …" if len(models) > 10 else "")
    return f"its GGUF files are {shown}" if models else "it has no GGUF files"
