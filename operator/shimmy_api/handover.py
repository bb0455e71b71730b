"""How a discovery Job's report travels through a ConfigMap: JSON, gzipped, bounded on both ends."""

import gzip
import zlib
from typing import Final

from shimmy_api.discovery import MAX_MODELS, MAX_SKIPPED, DiscoveryReport

MAX_PACKED: Final = 96 << 10
"""Bytes of one report: eight of them fit into a ConfigMap, which has at most 1 MiB.

Source: https://kubernetes.io/docs/concepts/configuration/configmap/#motivation
"""
_MAX_UNPACKED: Final = 8 << 20


def pack(report: DiscoveryReport, limit: int = MAX_PACKED) -> bytes:
    """The report in at most `limit` bytes; of one that is too long the end is left out, and the report says so."""
    models, skipped = len(report.models), len(report.skipped)
    keep_models, keep_skipped = min(models, MAX_MODELS), min(skipped, MAX_SKIPPED)
    while True:
        omitted = report.omitted + (models - keep_models) + (skipped - keep_skipped)
        update = {
            "models": report.models[:keep_models],
            "skipped": report.skipped[:keep_skipped],
            "omitted": omitted,
            "complete": report.complete and keep_models == models,
        }
        text = report.model_copy(update=update).model_dump_json(by_alias=True, exclude_defaults=True)
        packed = gzip.compress(text.encode(), mtime=0)
        if len(packed) <= limit or not (keep_models or keep_skipped):
            return packed
        if keep_skipped:  # reasons go before models
            keep_skipped //= 2
        else:
            keep_models = keep_models * 9 // 10


def unpack(packed: bytes) -> DiscoveryReport:
    """The report again.

    Raises:
        ValueError: it is none, or too long. (pydantic's ValidationError is a ValueError.)

    """
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = inflate.decompress(packed, _MAX_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"not gzip: {error}") from error
    if not inflate.eof:
        raise ValueError(f"cut off, or longer than {_MAX_UNPACKED} bytes")
    return DiscoveryReport.model_validate_json(text)
