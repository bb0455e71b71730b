from pathlib import Path

import pytest

from shimmy_engine.gguf_header import GgufError, GgufHeader
from shimmy_engine.plan import Plan, plan
from shimmy_engine.quirks import release_of
from shimmy_engine.settings import ModelSettings
from shimmy_engine.templates import Family


def planned(
    version: str = "1.8.1",
    *,
    trained: int = 0,
    asked: int | None = None,
    template: Family | None = None,
    lora: bool = False,
) -> Plan:
    metadata = {
        "general.architecture": "llama",
        "llama.context_length": trained,
        "tokenizer.chat_template": "<|im_start|>",
    }
    settings = ModelSettings("m", Path("m.gguf"), asked, template, Path("lora.gguf") if lora else None)
    return plan(settings, GgufHeader(metadata, (), 0), release_of(version))


@pytest.mark.parametrize(
    ("version", "asked", "trained", "context"),
    [
        ("1.8.1", None, 8192, 4096),
        ("1.8.1", None, 2048, 2048),
        ("1.8.1", 1024, 8192, 1024),
        ("1.8.1", 16384, 8192, 4096),
        ("1.8.1+fleet.1", None, 32_768, 4096),
        ("1.8.1+fleet.1", 16384, 32_768, 8192),
        ("2.6.5", None, 8192, 8192),
        ("2.6.5", 512, 8192, 512),
        ("2.6.5", None, 32_768, 8192),
        ("2.6.5", 32_768, 131_072, 32_768),
        ("2.6.5", 1_000_000, 0, 131_072),
    ],
)
def test_the_context_is_the_smallest_of_all_bounds(version: str, asked: int | None, trained: int, context: int) -> None:
    assert planned(version, asked=asked, trained=trained).context == context


def test_the_template_is_the_files_own_unless_the_settings_name_one() -> None:
    assert planned().family == "chatml"
    assert planned(template="openchat").family == "openchat"


def test_an_adapter_is_served_under_the_name_for_which_the_build_applies_it() -> None:
    assert planned("1.8.1+fleet.1", lora=True).name == planned("1.8.1+fleet.1").name
    assert planned("1.8.1", lora=True).name == "phi3-lora"


@pytest.mark.parametrize(("version", "template"), [("2.6.5", None), ("2.6.5+fleet.1", None), ("1.8.1", "llama3")])
def test_an_adapter_that_would_be_ignored_is_refused(version: str, template: Family | None) -> None:
    with pytest.raises(GgufError, match="adapters"):
        planned(version, template=template, lora=True)
