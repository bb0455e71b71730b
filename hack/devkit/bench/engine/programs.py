"""The Shimmys that the benchmarks run on, the runner before them, and what is known of their answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.contract.running import FAKE, Program, Runner, runner
from tests.fakes.shimmy import toy_gguf
from tests.fakes.shimmy.answers import count, mark

from devkit import models, shimmy_build
from devkit.bench import procfs
from devkit.bench.engine.asking import Counts
from devkit.bench.engine.verdict import Expected
from shimmy_engine.gguf_header import read_header
from shimmy_engine.templates import family_of, render_chat
from shimmy_engine.tokenizer import PromptTokenizer

NAMES: Final = ("fake-llama", "fake-airframe", "llama", "airframe")
"""The fake as each line, and the real one of each line: `llama` with SmolLM2, `airframe` with the tiny random model."""


def program(name: str, folder: Path) -> Program:
    """The Shimmy of that name; what has to be built or fetched for it is."""
    if name.startswith("fake-"):
        return Program(name.removeprefix("fake-"), FAKE, toy_gguf.write(folder / "toy.gguf"))
    model = models.smollm2() if name == "llama" else models.tiny()
    return Program(name, shimmy_build.build(f"shimmy-{name}"), model)


def at_speed(chosen: Program, *, tokens_per_second: int, answer_tokens: int = 1000) -> Program:
    """The fake at a chosen speed; the real one as it is."""
    speed = {"SHIMMY_FAKE_TOKENS_PER_SECOND": str(tokens_per_second), "SHIMMY_FAKE_ANSWER_TOKENS": str(answer_tokens)}
    return replace(chosen, environment=chosen.environment | speed)


@contextmanager
def serving(chosen: Program, folder: Path, *options: str) -> Iterator[Runner]:
    """A runner that is ready."""
    with runner(chosen, folder, *options) as running:
        yield running


def engine(running: Runner) -> int:
    """Process id of the runner's Shimmy of this moment.

    Raises:
        RuntimeError: there is none.
    """
    found = [child for child in procfs.children(running.process.pid) if "--bind" in procfs.command(child)]
    if not found:
        raise RuntimeError("the runner has no Shimmy process")
    return found[-1]


def engine_url(running: Runner) -> str:
    """Where that process listens."""
    command = procfs.command(engine(running))
    return f"http://{command[command.index('--bind') + 1]}"


def engine_model(running: Runner) -> str:
    """The name that it knows the model by: the file's stem."""
    command = procfs.command(engine(running))
    return Path(command[command.index("--model-path") + 1]).stem


@dataclass(frozen=True)
class Account:
    """What the fake writes down of its generations, where it does."""

    path: Path

    def kept_by(self, chosen: Program) -> Program:
        """The fake with its account here."""
        return replace(chosen, environment=chosen.environment | {"SHIMMY_FAKE_ACCOUNT": str(self.path)})

    def produced(self, prompts: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """Tokens of each generation that was begun, by prompt."""
        names = {mark(prompt): prompt for prompt in prompts}
        found: dict[str, list[int]] = {}
        for line in self.path.read_text(encoding="ascii").splitlines():
            number, tokens = map(int, line.split())
            if prompt := names.get(number):
                generations = found.setdefault(prompt, [])
                if tokens == 0:
                    generations.append(0)
                generations[-1] = tokens
        return found


class Oracle:
    """Knows the fake's answers by heart, and counts prompts with the tokeniser of the model's file."""

    def __init__(self, chosen: Program) -> None:
        metadata = read_header(chosen.model).metadata
        self._line = chosen.line
        self._tokenizer = PromptTokenizer(metadata)
        self._family = family_of(str(metadata["tokenizer.chat_template"]))

    def expected(self, prompt: str, max_tokens: int) -> Expected:
        """The fake's answer to a prompt with [[say=...]]."""
        said = re.search(r"\[\[say=([^\]]*)\]\]", prompt)
        pieces = re.findall(r"\s*\S+", said[1] if said else "")
        stops = len(pieces) < max_tokens
        produced = pieces[:max_tokens]
        ending = int(stops and self._line == "airframe")  # that line counts the token that ends an answer
        reason = "stop" if stops else "length"
        return Expected("".join(produced), reason, self.prompt_tokens(prompt), len(produced) + ending)

    def prompt_tokens(self, prompt: str) -> int:
        """Tokens that the fake is fed for it."""
        if self._line == "airframe":
            return count([prompt])[0]
        return self._tokenizer.count(render_chat(self._family, (("user", prompt),)))

    @property
    def counts_text(self) -> bool:
        """Whether the tokens of a real answer can be told from its text: the airframe line counts its ending too."""
        return self._line == "llama"

    def counts(self, prompt: str, parts: Sequence[str]) -> Counts:
        """Tokens of a prompt and of an answer, by the vocabulary of the model's file.

        The answer's are counted piece by piece: a model may spell a word in other tokens than a tokeniser would.
        """
        return self.prompt_tokens(prompt), sum(map(self._tokenizer.count, parts))
