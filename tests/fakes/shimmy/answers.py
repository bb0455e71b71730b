"""What the fake model says, and which faults a request asks for. Pure."""

import os
import random
import re
import zlib
from dataclasses import dataclass
from typing import Any

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima")
FAULT_AFTER = 3
"""Tokens that come before a fault strikes."""
_COMMAND = re.compile(r"\[\[(\w+)(?:=([^\]]*))?\]\]")


@dataclass(frozen=True)
class Switches:
    """The fake's settings."""

    line: str = "llama"
    build: str = "fleet"
    tokens_per_second: float = 0.0
    answer_tokens: int = 16
    load_seconds: float = 0.0
    start_seconds: float = 0.0
    budget: bool = False
    fault: str = ""
    account: str = ""

    @classmethod
    def from_environment(cls) -> "Switches":
        """Read SHIMMY_FAKE_*."""

        def value(name: str, default: str) -> str:
            return os.environ.get(f"SHIMMY_FAKE_{name}", default)

        return cls(
            line=value("LINE", "llama"),
            build=value("BUILD", "fleet"),
            tokens_per_second=float(value("TOKENS_PER_SECOND", "0")),
            answer_tokens=int(value("ANSWER_TOKENS", "16")),
            load_seconds=float(value("LOAD_SECONDS", "0")),
            start_seconds=float(value("START_SECONDS", "0")),
            budget=value("BUDGET", "1" if value("BUILD", "fleet") == "upstream" else "0") == "1",
            fault=value("FAULT", ""),
            account=value("ACCOUNT", ""),
        )

    @property
    def fleet(self) -> bool:
        """Whether it behaves like our own build."""
        return self.build == "fleet"


@dataclass(frozen=True)
class Script:
    """What happens to one request."""

    pieces: tuple[str, ...]
    stops: bool
    """Whether the model stops by itself after the pieces, rather than at max_tokens."""
    fault: str
    mark: int = 0
    """What the account knows the request by; 0 for one that generates nothing."""


def mark(prompt: str) -> int:
    """A number for the texts of a prompt."""
    return zlib.crc32(prompt.encode())


def script(prompt: str, max_tokens: int, switches: Switches, drawn: int = 0) -> Script:
    """Decide answer and fault by the prompt alone, and by what was drawn where the build draws."""
    commands = dict(_COMMAND.findall(prompt))
    faults = {"crash", "hang", "drop", "poison", "fail", "garbage"} & commands.keys()
    fault = next(iter(faults), switches.fault)
    pieces: tuple[str, ...]
    if fault == "garbage":
        pieces = ("�",)
    elif "say" in commands:
        pieces = tuple(re.findall(r"\s*\S+", commands["say"]))
    else:
        start = mark(prompt) + drawn
        count = int(commands.get("tokens", switches.answer_tokens))
        pieces = tuple(f" {WORDS[(start + index) % len(WORDS)]}" for index in range(count))
    return Script(pieces[:max_tokens], len(pieces) < max_tokens, fault, mark(prompt))


def draw(body: dict[str, Any], switches: Switches) -> int:
    """What decides between several answers to one prompt: nothing at temperature 0, else a seed.

    1.8 as the registry has it knows no temperature, and 2.6 always draws with the same seed.
    """
    temperature = body.get("temperature")
    if temperature == 0 or (switches.line == "llama" and not switches.fleet):
        return 0
    warmth = round(10 * (0.7 if temperature is None else temperature))
    if not switches.fleet:
        return warmth + 42
    seed = body.get("seed")
    return warmth + (random.getrandbits(32) if seed is None and switches.line == "llama" else seed or 42)


def count(texts: list[str]) -> tuple[int, int]:
    """Tokens and distinct tokens of a prompt made of these texts."""
    words = [word for text in texts for word in text.split()]
    return len(words) + 4 * len(texts), len(set(words)) + 4
