"""One Shimmy process: started in a private place, its pipes drained for ever, killed when asked."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
from pathlib import Path

from shimmy_engine.lines import Line
from shimmy_engine.settings import EngineSettings

log = logging.getLogger(__name__)

_KEPT = (b"[GpuRuntime] Selected adapter", b"panicked at", b" ERROR ", b"error:", "❌".encode())
"""What of the process's output may be logged. The rest is noise, or (`piece=`) text of an answer."""
_FORBIDDEN = b"piece="
_INHERITED = ("PATH", "LD_LIBRARY_PATH")
_INHERITED_PREFIXES = ("CUDA_", "GGML_", "LP_", "MESA_", "NVIDIA_", "SHIMMY_", "VK_")
_MAX_LINE = 400


class ShimmyProcess:
    """A running `shimmy serve` on a free port of loopback."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self.adapter = ""
        """The line in which the airframe line says which GPU it took."""
        self._process = process
        self._drains = [
            asyncio.create_task(self._drain(stream)) for stream in (process.stdout, process.stderr) if stream
        ]
        self.exited: asyncio.Task[int] = asyncio.create_task(process.wait())

    @classmethod
    async def start(cls, settings: EngineSettings, line: Line, *, stem: str, context: int) -> "ShimmyProcess":
        """Start it under a fresh home, where it finds no other model, and with the model linked as `stem`.gguf."""
        home = settings.state / "shimmy"
        shutil.rmtree(home, ignore_errors=True)
        (home / "tmp").mkdir(parents=True)
        model = home / f"{stem}.gguf"
        model.symlink_to(settings.model_file.absolute())
        port = _free_port()
        process = await asyncio.create_subprocess_exec(
            settings.binary.absolute(),
            *line.arguments(port=port, model_path=str(model), context=context),
            cwd=home,
            env=_environment(home),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        log.info("started shimmy, process %d", process.pid)
        return cls(process, port)

    async def stop(self, *, grace: float = 5.0) -> int:
        """End it; returns its exit code. Both lines cut a running stream at once when they get SIGTERM."""
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await asyncio.shield(self.exited)
                    break
        await asyncio.gather(*self._drains)
        return await self.exited

    async def _drain(self, stream: asyncio.StreamReader) -> None:
        """Read to the end: a full pipe stops the server, and a closed one makes it drop connections."""
        rest = b""
        while chunk := await stream.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-65536:]
            for line in lines:
                self._keep(line)

    def _keep(self, line: bytes) -> None:
        if _FORBIDDEN in line or not any(mark in line for mark in _KEPT):
            return
        text = line.decode(errors="replace")[:_MAX_LINE]
        if "Selected adapter" in text:
            self.adapter = text
        log.info("shimmy: %s", text)


def _free_port() -> int:
    """A port that was free a moment ago. Shimmy cannot take a socket that is open already."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(home: Path) -> dict[str, str]:
    """What the process may know: no token, no address of the cluster, no folder with other models.

    With one CPU, tokio would have one worker thread, and loading a model holds it: /health would hang. A few threads
    more cost nothing while they sleep.
    """
    kept = {
        name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    private = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "XDG_RUNTIME_DIR": str(home / "tmp")}
    private |= {"NO_COLOR": "1", "TOKIO_WORKER_THREADS": "4"}
    private["MESA_SHADER_CACHE_DIR"] = str(home.parent / "shader-cache")  # outlives a restart of the process
    return kept | {"RUST_LOG": "error"} | private
