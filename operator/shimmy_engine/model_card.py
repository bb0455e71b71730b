"""What there is to say about the model that is served."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from shimmy_engine.gguf_header import GgufHeader
from shimmy_engine.model_file import quantization


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Facts about one model as it is served here."""

    name: str
    """metadata.name of the ShimmyModel."""
    created: int
    """Since when it is served here, Unix time in seconds."""
    context: int
    """Tokens of prompt and answer together."""
    size_bytes: int = 0
    header_digest: str = ""
    """SHA-256 of the file's header, which names the model well enough for a list and is read in no time."""
    architecture: str = ""
    quantization: str = ""
    parameters: int = 0
    """Number of weights."""

    @property
    def parameter_size(self) -> str:
        """The number of weights for people, such as "134.5M"."""
        for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
            if self.parameters >= unit:
                return f"{self.parameters / unit:.1f}{letter}"
        return str(self.parameters)


def describe(name: str, path: Path, header: GgufHeader, *, context: int) -> ModelCard:
    """The card of the file at `path`, served as `name` from now on.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(header.data_offset)).hexdigest()
    return ModelCard(
        name=name,
        created=int(time.time()),
        context=context,
        size_bytes=path.stat().st_size,
        header_digest=digest,
        architecture=header.architecture,
        quantization=quantization(header),
        parameters=header.parameters,
    )
