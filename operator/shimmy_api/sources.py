"""Where a model's file comes from: the URLs of ShimmyModel.spec.backend."""

from dataclasses import dataclass
from urllib.parse import urlsplit


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


def parse_source(url: str) -> VolumeSource | HttpSource:
    """Parse a source URL.

    Raises:
        ValueError: the URL is of no kind that is supported, or its path tries to leave the volume.

    """
    scheme, _, rest = url.partition("://")
    match scheme:
        case "pvc":
            claim, _, path = rest.partition("/")
            if not claim or not path or not _is_clean(path):
                raise ValueError(f"{url!r} is not pvc://CLAIM/PATH with a relative path inside the volume")
            return VolumeSource(claim, path)
        case "http" | "https":
            split = urlsplit(url)
            name = split.path.rpartition("/")[2]
            if not split.hostname or not name:
                raise ValueError(f"{url!r} names no host or no file")
            if split.username or split.password:
                raise ValueError("credentials do not belong into a model's URL")
            return HttpSource(url, name)
        case _:
            raise ValueError(f"{url!r}: only pvc://, http:// and https:// are supported")


def _is_clean(path: str) -> bool:
    return all(part not in ("", ".", "..") for part in path.split("/"))
