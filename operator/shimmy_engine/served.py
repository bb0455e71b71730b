"""One model as it is served: its settings, how they were understood, and the supervisor of its engine."""

from dataclasses import dataclass, replace
from pathlib import Path

from shimmy_engine.adopted import AdoptedServer
from shimmy_engine.control_tokens import Neutraliser
from shimmy_engine.gguf_header import GgufError, read_header
from shimmy_engine.lora_file import check_fit
from shimmy_engine.model_card import ModelCard, describe
from shimmy_engine.model_file import obstacle
from shimmy_engine.plan import Plan, plan
from shimmy_engine.process import ShimmyProcess
from shimmy_engine.quirks import Release
from shimmy_engine.settings import Limits, ModelSettings
from shimmy_engine.supervisor import Server, Supervisor
from shimmy_engine.templates import family_by_name
from shimmy_engine.tokenizer import PromptTokenizer


@dataclass(frozen=True, slots=True)
class Engine:
    """The Shimmy that serves: a program to start, or a server that runs."""

    release: Release
    state: Path
    """Writable folder of the processes."""
    binary: Path | None
    """The program; None where a server was adopted."""
    require_gpu: bool
    url: str = ""
    """The adopted server's base URL."""
    model: str = ""
    """The adopted server's name for its model."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model and its engine."""

    settings: ModelSettings
    card: ModelCard
    plan: Plan
    neutraliser: Neutraliser
    tokenizer: PromptTokenizer | None
    """Where the engine does not count prompts itself."""
    supervisor: Supervisor


def prepare(settings: ModelSettings, engine: Engine, limits: Limits) -> Served:
    """Read the model's file and get everything ready that can be without starting anything.

    Raises:
        GgufError: the file cannot be used, or not by this Shimmy.
    """
    header = read_header(settings.file)
    quirks = engine.release.quirks
    if reason := obstacle(header, quirks.line):
        raise GgufError("Unsupported", f"the engine cannot serve the file: {reason}")
    if settings.lora_file:
        check_fit(read_header(settings.lora_file), header)
    chosen = plan(settings, header, engine.release)
    if engine.url:
        chosen = replace(chosen, name=engine.model, family=family_by_name(engine.model))

    async def start() -> Server:
        if engine.binary is None:
            return await AdoptedServer.reach(engine.url)
        return await ShimmyProcess.start(engine.binary, settings, chosen, engine.state)

    return Served(
        settings=settings,
        card=describe(settings.name, settings.file, header, context=chosen.context),
        plan=chosen,
        neutraliser=Neutraliser(header.metadata),
        tokenizer=None if quirks.counts_prompt else PromptTokenizer(header.metadata),
        supervisor=Supervisor(start, chosen, limits, require_gpu=engine.require_gpu),
    )
