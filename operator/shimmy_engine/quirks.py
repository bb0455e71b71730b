"""What each line and build of Shimmy does, in one table; everything else in the runner asks it.

Rows were measured on shimmy 1.8.1 (llama.cpp) and 2.6.5 (Airframe), as the registry has them ("upstream") and with the
patches of hack/patches ("fleet"); tests/contract/test_quirks.py measures them again. No build is asked for anything
that it gets wrong: the runner always says `stream` and `max_tokens` itself, and cuts at stop strings itself.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

LineName = Literal["llama", "airframe"]
Build = Literal["upstream", "fleet"]
LINES: Final[tuple[LineName, ...]] = get_args(LineName)

_VERSION: Final = re.compile(r"\b(\d+)\.(\d+)\.(\d+)(\+fleet\.\d+)?")


class UnknownShimmyError(Exception):
    """The program is no Shimmy that can be served; the message says why."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """One row of the table."""

    line: LineName
    build: Build
    since: tuple[int, int]
    """First version of which this is true: major and minor."""
    context_limit: int
    """Largest context, in tokens, whatever the model was trained for."""
    default_context: int
    """Context where none is asked for: memory for all of it is taken at the start."""
    context_setting: Literal["flag", "environment"] | None
    """How the context is set: `--ctx`, SHIMMY_MAX_CTX, or not at all."""
    counts_prompt: bool
    """Whether /api/generate with `max_tokens` 0 tells the number of prompt tokens."""
    reports_usage: bool
    """Whether answers carry true token counts and finish reasons; else counts are 0 and the reason is "stop"."""
    chat_streams_by_default: bool
    """Whether a chat without `stream` is streamed."""
    streams_tokens: bool
    """Whether a stream's tokens arrive as they are made; else all at the end."""
    streams_completions: bool
    """Whether /api/generate can be streamed without loss: 2.6's stream carries no usage, and hides errors in text."""
    tells_errors_in_streams: bool
    """Whether a generation that fails in a stream ends it with an error event rather than as if it were complete."""
    keeps_characters: bool
    """Whether a character that several tokens share arrives whole."""
    chat_ends_with_user: bool
    """Whether a conversation whose last message is not the user's gets damaged (its last message is dropped)."""
    samples: bool
    """Whether tokens are drawn, as `temperature` and `top_p` say; else it is always the likeliest that is left."""
    takes_seed: bool
    """Whether `seed` decides what is drawn."""
    serves_any_model: bool
    """Whether each listed model answers under its own name; else the first one asked for answers for all."""
    keeps_model: bool
    """Whether the model stays in memory from one request to the next."""
    cancels: bool
    """Whether POST /cancel ends the generation that runs; else it goes on after its client has left."""
    rule_budget: bool
    """Whether a request may fire 1,000 rules at most, which ends long answers with an error."""
    needs_key: bool
    """Whether it refuses to listen on other addresses than loopback without an API key."""
    lora: Literal["beside the model", "registered model"] | None
    """What SHIMMY_LORA_GGUF adapts: the model of --model-path, or only SHIMMY_BASE_GGUF's, which answers in ChatML."""
    log_file: str | None = None
    """A file that it appends to at every request, without bound."""

    def longest_answer(self, prompt_tokens: int, context: int) -> int:
        """Tokens of answer that a prompt leaves room for; 0 or less where there is none.

        The budget is (499 - prompt tokens - distinct prompt tokens) / 2; that all are distinct is the safe assumption.
        """
        room = context - prompt_tokens
        return min(room, (499 - 2 * prompt_tokens) // 2) if self.rule_budget else room


_LLAMA: Final = Quirks(
    line="llama",
    build="upstream",
    since=(1, 8),
    context_limit=4096,
    default_context=4096,
    context_setting=None,
    counts_prompt=False,
    reports_usage=False,
    chat_streams_by_default=True,
    streams_tokens=False,
    streams_completions=True,
    tells_errors_in_streams=False,
    keeps_characters=False,
    chat_ends_with_user=True,
    samples=False,
    takes_seed=False,
    serves_any_model=True,
    keeps_model=False,
    cancels=False,
    rule_budget=False,
    needs_key=False,
    lora="registered model",
)
_AIRFRAME: Final = Quirks(
    line="airframe",
    build="upstream",
    since=(2, 6),
    context_limit=131_072,
    default_context=8192,
    context_setting="flag",
    counts_prompt=True,
    reports_usage=True,
    chat_streams_by_default=False,
    streams_tokens=True,
    streams_completions=False,
    tells_errors_in_streams=True,
    keeps_characters=False,
    chat_ends_with_user=False,
    samples=True,
    takes_seed=False,
    serves_any_model=False,
    keeps_model=True,
    cancels=False,
    rule_budget=True,
    needs_key=True,
    lora=None,
    log_file="/tmp/shimmy_isf_run.log",  # noqa: S108 - where it is
)
TABLE: Final[tuple[Quirks, ...]] = (
    _LLAMA,
    replace(
        _LLAMA,
        build="fleet",
        context_limit=8192,  # llama.cpp decodes a prompt in one batch, which Shimmy makes no larger
        context_setting="environment",
        streams_tokens=True,
        keeps_characters=True,
        samples=True,
        takes_seed=True,
        keeps_model=True,
        cancels=True,
        lora="beside the model",
    ),
    _AIRFRAME,
    replace(
        _AIRFRAME,
        build="fleet",
        keeps_characters=True,
        takes_seed=True,
        cancels=True,
        rule_budget=False,
        log_file=None,
    ),
)
_NEWEST: Final[dict[LineName, tuple[int, int]]] = {"llama": (1, 8), "airframe": (2, 6)}
"""Newest version of each line that the table was measured on."""


@dataclass(frozen=True, slots=True)
class Release:
    """A Shimmy program or server, and the row of the table that it goes by."""

    version: str
    quirks: Quirks

    @property
    def measured(self) -> bool:
        """Whether the table was measured on this version; a newer one is treated as the newest that was."""
        return _minor(self.version) == _NEWEST[self.quirks.line]


def release_of(version: str) -> Release:
    """Find the row for a version, such as the last word of `shimmy --version`.

    Raises:
        UnknownShimmyError: it is no version, or an older one than any in the table.
    """
    found = _VERSION.search(version)
    if not found:
        raise UnknownShimmyError(f"{version[:80]!r} names no version of Shimmy")
    minor, build = (int(found[1]), int(found[2])), "fleet" if found[4] else "upstream"
    line = "llama" if minor[0] < 2 else "airframe"
    rows = [row for row in TABLE if (row.line, row.build) == (line, build) and row.since <= minor]
    if not rows:
        oldest = ", ".join(f"{row.since[0]}.{row.since[1]}" for row in TABLE if row.build == "upstream")
        raise UnknownShimmyError(f"Shimmy {found[0]} is too old: each line is served from {oldest} on")
    return Release(found[0], max(rows, key=lambda row: row.since))


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)
