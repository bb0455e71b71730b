"""Models in OCI registries, as artifacts.

Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md and opencontainers/image-spec, manifest.md
"""

import hashlib
from typing import Any, Final

import httpx

from shimmy_api.sources import OciSource
from shimmy_engine.checksums import Checksum, compare
from shimmy_engine.fetch.client import get_json, is_loopback
from shimmy_engine.fetch.credentials import Credentials
from shimmy_engine.fetch.registry_auth import RegistryAuth
from shimmy_engine.fetch.remote import Remote
from shimmy_engine.gguf_header import GgufError

_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEXES: Final = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
_ACCEPTED: Final = ", ".join([_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json", *sorted(_INDEXES)])
_TITLES: Final = ("org.opencontainers.image.title", "org.cncf.model.filepath")
_GGUF_TYPES: Final = frozenset(
    {
        "application/vnd.docker.ai.gguf.v3",  # Docker Model Runner: github.com/docker/model-runner, types
        "application/vnd.ollama.image.model",  # github.com/ollama/ollama, server/images.go
        "application/gguf",
        "application/x-gguf",
    }
)
_DOCKER_HUB: Final = "docker.io"
_DOCKER_HUB_HOST: Final = "registry-1.docker.io"


def find_in_registry(source: OciSource, client: httpx.Client, credentials: Credentials) -> Remote:
    """The layer of an artifact that is the model's file; its digest is the checksum.

    Raises:
        GgufError: SourceMissing, SourceAmbiguous, AccessDenied, SourceUnreachable, ChecksumMismatch,
            CredentialsMissing.
    """
    place = f"oci://{source.registry}/{source.repository}"
    auth = RegistryAuth(credentials.for_registry(source.registry), place)
    base = f"{_base(source.registry)}/v2/{source.repository}"
    layer = _choose(_manifest(client, auth, base, place, source), place, source.title)
    digest = str(layer.get("digest", ""))
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256":
        raise GgufError("SourceUnreachable", f"{place} names its file by {digest[:80]!r}; only sha256 is known here")
    url = f"{base}/blobs/{digest}"
    return Remote(f"{place}@{digest}", lambda: url, auth, Checksum("sha256", value))


def _base(registry: str) -> str:
    host = registry.rpartition(":")[0] if registry.rpartition(":")[2].isdecimal() else registry
    scheme = "http" if is_loopback(host.strip("[]")) else "https"
    return f"{scheme}://{_DOCKER_HUB_HOST if registry == _DOCKER_HUB else registry}"


def _manifest(client: httpx.Client, auth: httpx.Auth, base: str, place: str, source: OciSource) -> dict[str, Any]:
    reference = source.digest or source.tag
    found = _get_manifest(client, auth, base, place, str(reference), source.digest)
    if found.get("mediaType") not in _INDEXES and "manifests" not in found:
        return found
    digests = [str(entry.get("digest")) for entry in found.get("manifests") or ()]
    if len(digests) != 1:
        message = f"{place}:{reference} holds {len(digests)} artifacts; name one by its digest: {', '.join(digests)}"
        raise GgufError("SourceAmbiguous", message)
    return _get_manifest(client, auth, base, place, digests[0], digests[0])


def _get_manifest(
    client: httpx.Client, auth: httpx.Auth, base: str, place: str, reference: str, digest: str | None
) -> dict[str, Any]:
    what = f"{place} ({reference})"
    response = get_json(client, f"{base}/manifests/{reference}", what, auth, {"accept": _ACCEPTED})
    if digest is not None:
        found = hashlib.sha256(response.content).hexdigest()
        compare(Checksum("sha256", digest.removeprefix("sha256:")), Checksum("sha256", found))
    try:
        manifest = response.json()
    except ValueError as error:
        raise GgufError("SourceUnreachable", f"{what} answered with something that is no manifest") from error
    if not isinstance(manifest, dict):
        raise GgufError("SourceUnreachable", f"{what} answered with something that is no manifest")
    return manifest


def _choose(manifest: dict[str, Any], place: str, title: str | None) -> dict[str, Any]:
    layers = [layer for layer in manifest.get("layers") or () if isinstance(layer, dict)]
    if title is not None:
        fitting = [layer for layer in layers if _title(layer).rpartition("/")[2] == title]
    else:
        fitting = [layer for layer in layers if _is_gguf(layer)]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(_title(layer) or str(layer.get("mediaType")) for layer in (fitting or layers)) or "nothing"
    if fitting:
        raise GgufError("SourceAmbiguous", f"{place} holds several models; choose one with ?file=NAME: {names}")
    wanted = f"file {title}" if title else "GGUF file"
    raise GgufError("SourceMissing", f"{place} holds no {wanted}; it holds {names}")


def _is_gguf(layer: dict[str, Any]) -> bool:
    return layer.get("mediaType") in _GGUF_TYPES or _title(layer).lower().endswith(".gguf")


def _title(layer: dict[str, Any]) -> str:
    annotations = layer.get("annotations") or {}
    return next((str(annotations[key]) for key in _TITLES if annotations.get(key)), "")
