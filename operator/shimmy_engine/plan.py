"""What a model's file, the settings and the Shimmy program mean for how the model is served. Pure."""

from dataclasses import dataclass
from typing import Final

from shimmy_engine.gguf_header import GgufError, GgufHeader
from shimmy_engine.quirks import Release
from shimmy_engine.settings import ModelSettings
from shimmy_engine.templates import STEMS, Family, family_of

REGISTERED: Final = "phi3-lora"
"""Under this name Shimmy 1.8 serves SHIMMY_BASE_GGUF with SHIMMY_LORA_GGUF (src/main.rs)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one model is served."""

    release: Release
    family: Family
    """Chat template of the llama line."""
    name: str
    """What Shimmy knows the model by, which is its file's stem.

    1.8 picks the chat template by it, and 2.6 changes the prompts of models named after qwen or deepseek-r1; so the
    name that the user chose never gets there.
    """
    context: int
    """Tokens of prompt and answer together."""


def plan(settings: ModelSettings, header: GgufHeader, release: Release) -> Plan:
    """Choose context, template and name: what the settings say, within what the file and the program can do.

    Raises:
        GgufError: Unsupported, where the program cannot serve the model with this adapter or template.
    """
    quirks = release.quirks
    bounds = (settings.context or quirks.default_context, header.context_length, quirks.context_limit)
    family = settings.template or family_of(str(header.metadata.get("tokenizer.chat_template", "")))
    name = STEMS[family] if quirks.line == "llama" else "model"
    if settings.lora_file:
        if quirks.lora is None:
            raise GgufError("Unsupported", f"Shimmy {release.version} serves no LoRA adapters; the llama line does")
        if quirks.lora == "registered model":
            if family != "chatml":
                message = f"Shimmy {release.version} serves adapters in ChatML only, but the model wants {family}"
                raise GgufError("Unsupported", message)
            name = REGISTERED
    return Plan(release, family, name, min(bound for bound in bounds if bound))
