"""kubectl against one development cluster."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from devkit.binaries import ensure
from devkit.waiting import until


class KubectlError(Exception):
    """kubectl refused; the message is its own."""


class NotReadyError(Exception):
    """An object did not become Ready in time; the message says what was seen last."""


@cache
def _program() -> str:
    """Path of kubectl, looked up once: that asks several programs for their version."""
    return str(ensure("kubectl"))


def _silent(_: str) -> None:
    """Hear nothing."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Runs kubectl with the kubeconfig of one cluster."""

    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None, file: IO[bytes] | None = None, timeout: int = 300) -> str:
        """Run kubectl and return what it prints; `stdin` is a text, `file` an open file, that it reads.

        Raises:
            KubectlError: kubectl ended with an error.
        """
        source: dict[str, Any] = {"stdin": file} if file else {"input": (stdin or "").encode()}
        result: subprocess.CompletedProcess[bytes] = subprocess.run(
            self.command(*arguments), capture_output=True, timeout=timeout, check=False, **source
        )
        if result.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {result.stderr.decode().strip()}")
        return result.stdout.decode()

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        return [_program(), "--kubeconfig", str(self.kubeconfig), *arguments]

    def apply(self, manifest: str) -> None:
        """Apply a manifest of one or more YAML documents, server-side."""
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """One object, or None where there is none."""
        scope = ["-n", namespace] if namespace else []
        text = self.run("get", kind, name, *scope, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text else None

    def list(self, kind: str, namespace: str = "", selector: str = "") -> list[dict[str, Any]]:
        """The objects of a kind, in one namespace or in all."""
        scope = ["-n", namespace] if namespace else ["-A"]
        text = self.run("get", kind, *scope, "-l", selector, "-o", "json")
        return list(json.loads(text)["items"])

    def wait_ready(
        self, kind: str, name: str, namespace: str = "", *, seconds: float = 240, tell: Callable[[str], None] = _silent
    ) -> dict[str, Any]:
        """Wait until an object is Ready in its current generation; `tell` hears each new reason that it is not.

        Raises:
            NotReadyError: the time is over; the message carries the condition that was seen last.
        """
        told = "the operator has not seen it yet"

        def ready() -> dict[str, Any] | None:
            nonlocal told
            found = self.get(kind, name, namespace)
            condition = ready_condition(found)
            seen = f"{condition['reason']}: {condition['message']}" if condition else told
            if seen != told:
                told = seen
                tell(f"{kind} {name}: {seen}")
            return found if condition.get("status") == "True" else None

        try:
            return until(ready, f"{kind} {name}", seconds=seconds, every=0.5)
        except TimeoutError as error:
            raise NotReadyError(f"{error}; {told}") from error

    @contextmanager
    def port_forward(self, target: str, port: int, namespace: str) -> Iterator[int]:
        """Forward a free local port to a Service's or pod's port while the context lasts."""
        command = self.command("port-forward", "-n", namespace, target, f":{port}", "--address", "127.0.0.1")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                assert process.stdout  # noqa: S101 - a pipe was asked for
                line = process.stdout.readline()
                match = re.search(r"127\.0\.0\.1:(\d+)", line)
                if not match:
                    raise KubectlError(f"kubectl port-forward {target}: {line.strip() or 'ended at once'}")
                yield int(match.group(1))
            finally:
                process.terminate()


def ready_condition(found: dict[str, Any] | None) -> dict[str, Any]:
    """The Ready condition of an object, where it is of the object's current generation; else empty."""
    if not found:
        return {}
    generation = found["metadata"].get("generation")
    conditions = found.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Ready" and c.get("observedGeneration") == generation), {})
