"""Looks through folders for models and adapters."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from shimmy_api.discovery import MAX_SOURCE, Discovered, DiscoveryReport, Skipped, skipped
from shimmy_api.naming import distinct
from shimmy_engine.discovery.bases import with_bases
from shimmy_engine.discovery.candidates import Candidate, candidates
from shimmy_engine.discovery.gguf_files import inspect_gguf, refuse_split
from shimmy_engine.discovery.hugging_face import inspect_adapter, inspect_model, refuse_bare
from shimmy_engine.discovery.pace import Pace
from shimmy_engine.discovery.sidecar import Sidecar, read_sidecar
from shimmy_engine.discovery.walk import shown, walk
from shimmy_engine.gguf_header import GgufError
from shimmy_engine.model_file import check_file

_LOG = logging.getLogger(__name__)
_ADAPTERS: Final = frozenset({"ggufAdapter", "peft"})
_PERSONAL: Final = "personal"


@dataclass(frozen=True, slots=True)
class Claim:
    """The PersistentVolumeClaim that holds what is looked through, and the folder where it is mounted."""

    name: str
    mount: Path

    def source(self, path: Path) -> str:
        """pvc://CLAIM/PATH of a file or folder.

        Raises:
            GgufError: no source can name it.

        """
        if not path.is_relative_to(self.mount):
            raise GgufError("NotOnClaim", f"it does not lie below {self.mount}, where claim {self.name} is mounted")
        if path == self.mount:
            raise GgufError("PathUnusable", "a source cannot name a whole claim: move it into a folder")
        inside = shown(path.relative_to(self.mount))
        source = f"pvc://{self.name}/{inside}"
        if inside != str(path.relative_to(self.mount)) or any(part.isspace() for part in inside):
            raise GgufError("PathUnusable", "a source cannot name it: rename it without spaces, in UTF-8")
        if len(source) > MAX_SOURCE:
            raise GgufError("PathUnusable", f"a source cannot name it: it is longer than {MAX_SOURCE} characters")
        return source


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to tell of what is found, beside what the headers say."""

    claim: Claim | None = None
    personal: tuple[str, ...] = ()
    """Patterns of paths, relative to the folder that is looked through, of personal models."""
    sha256: bool = False
    """Whether to read GGUF files from end to end for their digests."""


def discover(roots: Sequence[Path], wishes: Wishes, revision: str = "") -> DiscoveryReport:
    """Look through the folders.

    Raises:
        OSError: one of them cannot be read.

    """
    models: dict[str, Discovered] = {}
    left_out: list[Skipped] = []
    seen_files: set[tuple[int, int]] = set()
    complete, pace = True, Pace("examined", "models")
    for root in roots:
        seen = walk(root)
        complete &= seen.complete
        left_out += seen.skipped
        for candidate in (found for folder in seen.folders for found in candidates(folder)):
            pace.step()
            if _known(candidate, seen_files):
                continue
            model, complaints = _examine(candidate, root, wishes)
            left_out += complaints
            if model is not None:
                models.setdefault(model.path, model)
    ordered = sorted(models.values(), key=lambda model: model.path)
    return DiscoveryReport.model_construct(
        revision=revision,
        finished_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        models=tuple(with_bases(_with_distinct_names(ordered))),
        skipped=tuple(sorted(left_out, key=lambda item: item.path)),
        complete=complete,
    )


def _examine(candidate: Candidate, root: Path, wishes: Wishes) -> tuple[Discovered | None, list[Skipped]]:
    place = shown(candidate.path)
    try:
        model = _inspect(candidate)
        sidecar, complaint = read_sidecar(candidate.path)
        update = _said(model, candidate.path.relative_to(root), sidecar, wishes)
        if wishes.claim is not None:
            update["source"] = wishes.claim.source(candidate.path)
        if wishes.sha256 and model.kind == "gguf":
            update["sha256"] = check_file(candidate.path, None).sha256
        return model.model_copy(update=update), [complaint] if complaint else []
    except GgufError as error:
        return None, [skipped(place, error.reason, error.message)]
    except OSError as error:
        return None, [skipped(place, "Unreadable", f"it cannot be read: {error.strerror}")]
    except Exception as error:  # noqa: BLE001 - a header damaged in a way that nobody thought of hides no other model
        _LOG.warning("%s cannot be examined: %s", place, type(error).__name__)
        return None, [skipped(place, "Damaged", f"its header makes no sense ({type(error).__name__})")]


def _known(candidate: Candidate, seen: set[tuple[int, int]]) -> bool:
    """Whether the same file or folder was examined under another path."""
    try:
        place = candidate.path.stat()
    except OSError:
        return False  # examining it tells why
    key = (place.st_dev, place.st_ino)
    if key in seen:
        return True
    seen.add(key)
    return False


def _inspect(candidate: Candidate) -> Discovered:
    match candidate.kind:
        case "gguf":
            return inspect_gguf(candidate.path)
        case "huggingFace":
            return inspect_model(candidate.path)
        case "peft":
            return inspect_adapter(candidate.path)
        case "split":
            raise refuse_split(candidate)
        case "bare":
            raise refuse_bare(candidate)


def _said(model: Discovered, inside: Path, sidecar: Sidecar, wishes: Wishes) -> dict[str, object]:
    """What the owner says, and what follows from the names."""
    personal = (
        model.kind in _ADAPTERS
        or any(_PERSONAL in part.lower() for part in inside.parts)
        or any(fnmatchcase(str(inside), pattern) for pattern in wishes.personal)
    )
    return {
        "personal": personal if sidecar.personal is None else sidecar.personal,
        "name": sidecar.name or model.name,
        "base": sidecar.base or model.base,
    }


def _with_distinct_names(models: Iterable[Discovered]) -> list[Discovered]:
    """The first of those that would share a name keeps it; the others get a digest of their path."""
    taken: set[str] = set()
    found = []
    for model in models:
        name = distinct(model.name, model.source or model.path, taken)
        taken.add(name)
        found.append(model.model_copy(update={"name": name}))
    return found
