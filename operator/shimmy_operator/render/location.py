"""Where a model's file lies, what it comes from, and what identifies its content."""

import hashlib
import json
from dataclasses import dataclass

from shimmy_api import names
from shimmy_api.model import Backend, Candle, Gguf, HuggingFace, ShimmyModelSpec
from shimmy_api.sources import HubSource, RemoteSource, VolumeSource, parse_folder, parse_source

_DIGITS = 12
"""Of the spec's digest in the name of a converted file: pods may still serve the one before."""


@dataclass(frozen=True, slots=True)
class Location:
    """A file on a claim, and what it comes from."""

    claim_name: str
    path: str
    url: str | None = None
    """Where the file is fetched from, if it is fetched as it is."""
    converted_from: str | None = None
    """What it is converted from, in the user's words, if it is converted."""
    claims: tuple[str, ...] = ()
    """The tenant's own claims that are read."""
    remote: tuple[RemoteSource, ...] = ()
    """What is fetched over the network."""
    lora: VolumeSource | None = None
    """An adapter beside the file."""

    @property
    def own_volume(self) -> bool:
        """Whether the file lies on a volume of the model's own, which the operator makes."""
        return self.url is not None or self.converted_from is not None


def locate(model: str, spec: ShimmyModelSpec) -> Location:
    """Where the file of a model is or will be.

    Raises:
        ValueError: the source cannot be used; the message says why.
    """
    backend = spec.backend
    if backend.gguf is not None:
        return _locate_gguf(model, backend.gguf)
    base, adapter = folders(backend)
    parts = [part for part in (base, adapter) if part is not None]
    quantization = (backend.hugging_face or _candle(backend)).quantization
    return Location(
        claim_name=names.model_volume(model),
        path=f"{spec_digest(spec)[:_DIGITS]}-{quantization}.gguf",
        converted_from=" and ".join(map(_shown, parts)),
        claims=tuple(dict.fromkeys(part.claim_name for part in parts if isinstance(part, VolumeSource))),
        remote=tuple(part for part in parts if isinstance(part, HubSource)),
    )


def folders(backend: Backend) -> tuple[VolumeSource | HubSource, VolumeSource | HubSource | None]:
    """Model and adapter of a backend that is converted.

    Raises:
        ValueError: one of them cannot be used; the message says why.
    """
    match backend:
        case Backend(hugging_face=HuggingFace() as found):
            adapter = found.peft_source
            return parse_folder(found.base_model, found.revision), parse_folder(adapter) if adapter else None
        case _:
            candle = _candle(backend)
            adapter = candle.adapter_source
            return parse_folder(candle.source), parse_folder(adapter) if adapter else None


def spec_digest(spec: ShimmyModelSpec) -> str:
    """Digest of what decides about the file: a check of another digest says nothing about this spec."""
    gguf = spec.backend.gguf
    if gguf is None:
        decisive = spec.backend.model_dump(by_alias=True, exclude_none=True)
    else:
        decisive = {"source": gguf.source, "sha256": gguf.sha256}
        if gguf.credentials_secret_name is not None:
            decisive["credentials"] = gguf.credentials_secret_name  # another Secret is worth another try
        if gguf.lora_source is not None:
            decisive |= {"lora": gguf.lora_source, "loraSha256": gguf.lora_sha256}
    text = json.dumps(decisive, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _locate_gguf(model: str, gguf: Gguf) -> Location:
    url, lora = gguf.source, _lora(gguf)
    source = parse_source(url)
    adapters = (lora.claim_name,) if lora else ()
    if isinstance(source, VolumeSource):
        claims = tuple(dict.fromkeys((source.claim_name, *adapters)))
        return Location(source.claim_name, source.path, claims=claims, lora=lora)
    if not source.file_name.endswith(".gguf") and isinstance(source, HubSource):
        raise ValueError(f"{url!r} names no .gguf file")
    return Location(names.model_volume(model), source.file_name, url, claims=adapters, remote=(source,), lora=lora)


def _lora(gguf: Gguf) -> VolumeSource | None:
    if gguf.lora_source is None:
        return None
    source = parse_source(gguf.lora_source)
    if not isinstance(source, VolumeSource):
        raise ValueError(f"{gguf.lora_source!r} is not pvc://CLAIM/PATH.gguf")
    return source


def _candle(backend: Backend) -> Candle:
    if backend.candle is None:
        raise ValueError("none of gguf, huggingFace and candle is set")
    return backend.candle


def _shown(source: VolumeSource | HubSource) -> str:
    if isinstance(source, VolumeSource):
        return f"{source.path} on volume {source.claim_name}"
    return f"{source.repository} ({source.revision})"
