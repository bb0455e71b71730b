"""What the runner is told at its start."""

from dataclasses import dataclass
from pathlib import Path

from shimmy_engine.templates import Family


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this pod is, for answers and the usage journal."""

    namespace: str
    """Namespace of the ShimmyModels that it serves."""
    pod: str


@dataclass(frozen=True)  # no slots: the command line takes its defaults from the class
class Limits:
    """Times in seconds and numbers of requests."""

    queue: int = 16
    """Requests that may wait for their turn."""
    abandon: float = 30.0
    """How long the engine may be lost to an answer that nobody waits for any more, before it is restarted."""
    stall: float = 300.0
    """Longest silence of the engine within one generation, before it counts as hung."""
    quiet: float = 30.0
    """Longest silence after the first token of an answer, before the pod counts as not ready."""
    deadline: float = 3600.0
    """Longest time of a request, waiting included, where the router names no shorter one."""
    start: float = 600.0
    """Longest time from the engine's start to its first answer: reading a large model may take minutes."""
    ready_wait: float = 30.0
    """How long a request waits for an engine that is being restarted."""
    failed_starts: int = 6
    """Starts in a row without an answer after which the runner gives up and fails its liveness probe."""
    accept_after_term: float = 5.0
    """How long requests are still accepted after SIGTERM, while routers learn that this pod is leaving."""
    grace: float = 55.0
    """Time from SIGTERM to the end of everything."""
    memory: int | None = None
    """Bytes of private memory of the Shimmy process beyond which it is restarted between two requests."""
    default_max_tokens: int = 1024
    """Longest answer where the request names no max_tokens; the rest of the context where that is less."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One model, and how it is to be served."""

    name: str
    """metadata.name of the ShimmyModel."""
    file: Path
    context: int | None = None
    """Context in tokens; the model's own, within the line's limit, where it is None."""
    template: Family | None = None
    """Chat template of the llama line; the one nearest to the file's own where it is None."""
    lora_file: Path | None = None
    """GGUF adapter that is applied to the model, on the llama line."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which Shimmy process serves it."""

    state: Path
    """Writable folder: the journal, and the process's private home."""
    binary: Path | None = None
    """The Shimmy program; looked for where it is None."""
    require_gpu: bool = False
    """Whether a software renderer counts as a failure."""
    adopted_url: str = ""
    """Base URL of a Shimmy server that runs already; empty where the runner starts one of its own."""
    adopted_model: str = ""
    """Name that the adopted server knows the model by."""
