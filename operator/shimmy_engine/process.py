"""One Shimmy process: started in a private place, its pipes drained for ever, killed when asked."""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Final

import psutil

from shimmy_engine import wording
from shimmy_engine.child import confine
from shimmy_engine.device import Device, device_in
from shimmy_engine.plan import REGISTERED, Plan
from shimmy_engine.settings import ModelSettings

log = logging.getLogger(__name__)

_KEPT: Final = (b"[GpuRuntime] Selected adapter", b"panicked at", b" ERROR ", b"error:", "❌".encode())
"""What of the process's output may be logged. The rest is noise, or (`piece=`) text of an answer."""
_FORBIDDEN: Final = b"piece="
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH")
_INHERITED_PREFIXES: Final = ("CUDA_", "GGML_", "LP_", "MESA_", "NVIDIA_", "SHIMMY_", "VK_")
_OURS: Final = frozenset(
    {"SHIMMY_API_KEY", "SHIMMY_BASE_GGUF", "SHIMMY_BIND_ADDRESS", "SHIMMY_LORA_GGUF", "SHIMMY_MAX_CTX"}
    | {"SHIMMY_MODEL_PATHS"}
)
"""Settings that the runner makes itself: others would let the process serve something else, or elsewhere."""
_MAX_LINE: Final = 400


class ShimmyProcess:
    """A running `shimmy serve` on a free port of loopback."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, record: Path) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.device: Device | None = None
        """What it computes on, once it has said so."""
        self._process = process
        self._record = record
        self._drains = [
            asyncio.create_task(self._drain(stream)) for stream in (process.stdout, process.stderr) if stream
        ]
        self.exited: asyncio.Task[str] = asyncio.create_task(self._wait())
        """Ends with the process, with a sentence on how."""

    @classmethod
    async def start(cls, binary: Path, model: ModelSettings, plan: Plan, state: Path) -> "ShimmyProcess":
        """Start it under a fresh home, where it finds no other model, and with the model linked under the plan's name.

        Raises:
            OSError: it cannot be started, or the state folder cannot be written.
        """
        home, record = state / "shimmy", state / "shimmy.pid"
        await asyncio.to_thread(_end_orphan, record)
        shutil.rmtree(home, ignore_errors=True)
        (home / "tmp").mkdir(parents=True)
        file = home / f"{plan.name}.gguf"
        file.symlink_to(model.file.absolute())
        _cut_off(plan.release.quirks.log_file)
        port = _free_port()
        arguments = wording.command_line(plan.release.quirks, port=port, model_path=str(file), context=plan.context)
        process = await asyncio.create_subprocess_exec(
            binary,
            *arguments,
            cwd=home,
            env=_environment(home, model, plan),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for the runner, which drains first
            preexec_fn=confine,
        )
        with contextlib.suppress(psutil.NoSuchProcess):
            record.write_text(json.dumps({"pid": process.pid, "created": psutil.Process(process.pid).create_time()}))
        log.info("started shimmy, process %d", process.pid)
        return cls(process, port, record)

    def memory(self) -> int:
        """Bytes of memory of its own; pages of the model's file, which others may share, are not counted."""
        try:
            used = psutil.Process(self._process.pid).memory_info()
        except psutil.Error:
            return 0
        return int(used.rss - getattr(used, "shared", 0))

    async def stop(self, *, grace: float = 5.0) -> None:
        """End it. Both lines cut a running stream at once when they get SIGTERM."""
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await asyncio.shield(self.exited)
                    break
        await asyncio.gather(*self._drains)
        self._record.unlink(missing_ok=True)

    async def _wait(self) -> str:
        return f"the engine's process ended with code {await self._process.wait()}"

    async def _drain(self, stream: asyncio.StreamReader) -> None:
        """Read to the end: a full pipe stops the server, and a closed one makes it drop connections."""
        rest = b""
        while chunk := await stream.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-65536:]
            for line in lines:
                self._keep(line)

    def _keep(self, line: bytes) -> None:
        if _FORBIDDEN in line:
            return
        self.device = device_in(line) or self.device
        if any(mark in line for mark in _KEPT):
            log.info("shimmy: %s", line.decode(errors="replace")[:_MAX_LINE])


def _end_orphan(record: Path) -> None:
    """Kill the process that an earlier runner left behind, where it was killed and the system lets children live."""
    try:
        told = json.loads(record.read_text())
        orphan = psutil.Process(int(told["pid"]))
        if abs(orphan.create_time() - float(told["created"])) < 1:  # else the number is another process's by now
            log.warning("ending process %d, which an earlier runner left behind", orphan.pid)
            orphan.kill()
            orphan.wait(5)
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return


def _cut_off(log_file: str | None) -> None:
    """Let a file that the program appends to for ever lead nowhere, unless somebody keeps one there."""
    if log_file:
        with contextlib.suppress(OSError):
            Path(log_file).symlink_to(os.devnull)


def _free_port() -> int:
    """A port that was free a moment ago. Shimmy cannot take a socket that is open already."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(home: Path, model: ModelSettings, plan: Plan) -> dict[str, str]:
    """What the process may know: no token, no address of the cluster, no folder with other models.

    With one CPU, tokio would have one worker thread, and loading a model holds it: /health would hang. A few threads
    more cost nothing while they sleep.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OURS and (name in _INHERITED or name.startswith(_INHERITED_PREFIXES))
    }
    private = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "XDG_RUNTIME_DIR": str(home / "tmp")}
    private |= {"NO_COLOR": "1", "TOKIO_WORKER_THREADS": "4", "RUST_LOG": "error"}
    private["MESA_SHADER_CACHE_DIR"] = str(home.parent / "shader-cache")  # outlives a restart of the process
    if plan.release.quirks.context_setting == "environment":
        private["SHIMMY_MAX_CTX"] = str(plan.context)
    if model.lora_file:
        private["SHIMMY_LORA_GGUF"] = str(model.lora_file.absolute())
        if plan.name == REGISTERED:
            private["SHIMMY_BASE_GGUF"] = str(model.file.absolute())
    return kept | private
