from dataclasses import replace
from pathlib import Path

import pytest

from shimmy_engine.gguf_header import GgufHeader
from shimmy_engine.lines import LineName
from shimmy_engine.settings import EngineSettings
from shimmy_engine.supervisor import plan

SETTINGS = EngineSettings(line="llama", binary=Path("shimmy"), model_file=Path("m.gguf"), state=Path("state"))


def header(context: int) -> GgufHeader:
    metadata = {
        "general.architecture": "llama",
        "llama.context_length": context,
        "tokenizer.chat_template": "<|im_start|>",
    }
    return GgufHeader(metadata, (), 0)


@pytest.mark.parametrize(
    ("line", "asked", "trained", "context"),
    [
        ("llama", None, 8192, 4096),
        ("llama", None, 2048, 2048),
        ("llama", 1024, 8192, 1024),
        ("llama", 16384, 8192, 4096),
        ("airframe", None, 8192, 8192),
        ("airframe", 512, 8192, 512),
        ("airframe", None, 32_768, 8192),
        ("airframe", 32_768, 131_072, 32_768),
        ("airframe", 1_000_000, 0, 131_072),
    ],
)
def test_the_context_is_the_smallest_of_all_bounds(
    line: LineName, asked: int | None, trained: int, context: int
) -> None:
    assert plan(replace(SETTINGS, line=line, context=asked), header(trained)).context == context


def test_the_template_is_the_files_own_unless_the_settings_name_one() -> None:
    assert plan(SETTINGS, header(0)).family == "chatml"
    assert plan(replace(SETTINGS, template="openchat"), header(0)).family == "openchat"
