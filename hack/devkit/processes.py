"""Processes that outlive the command which started them, and that can be ended after a crash.

Each has a record file with its id and the kernel's start time of that id. A process is ours only if both agree, so a
record left from before a crash or a reboot never makes us end somebody else's process. Each also carries its folder in
its environment, which its children inherit: so they too are found, and those whose record was never written.
"""

import json
import os
import select
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_KILL_AFTER_SECONDS: Final = 10
_MARK: Final = "SHIMMY_CLUSTER_PROCESS"
"""Environment variable that names the folder a process belongs to."""


@dataclass(frozen=True, slots=True)
class Record:
    """One process, told apart from any later one with the same id."""

    name: str
    pid: int
    start_ticks: int
    """Clock ticks after boot: field 22 of /proc/PID/stat (proc(5))."""
    boot: str

    def alive(self) -> bool:
        """Whether this very process runs (a zombie does not)."""
        _reap(self.pid)
        return self.boot == _boot() and start_ticks(self.pid) == self.start_ticks


def record(name: str, pid: int) -> Record:
    """The record of the running process `pid`.

    Raises:
        ProcessLookupError: it does not run.
    """
    ticks = start_ticks(pid)
    if ticks is None:
        raise ProcessLookupError(f"{name}: process {pid} does not run")
    return Record(name, pid, ticks, _boot())


def start_ticks(pid: int) -> int | None:
    """When `pid` started, or None where no such process runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name, in parentheses, may itself hold blanks and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Processes:
    """The processes of one folder: a record and a log each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records = folder / "pids"
        self._logs = folder / "logs"

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Record:
        """Start `command` in a session of its own, its output in logs/NAME.log.

        Raises:
            FileExistsError: a process of that name runs already.
            ProcessLookupError: it ended at once.
        """
        old = self.get(name)
        if old and old.alive():
            raise FileExistsError(f"{name} runs already as process {old.pid}")
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            command[0],
            list(command),
            os.environ | (environment or {}) | {_MARK: str(self._folder)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log(name)), append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        started = record(name, pid)
        path = self._records / f"{name}.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(started)), encoding="utf-8")
        partial.rename(path)
        return started

    def get(self, name: str) -> Record | None:
        """The record of `name`, whether it runs or not."""
        try:
            return Record(**json.loads((self._records / f"{name}.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def all(self) -> list[Record]:
        """Every record, oldest process first."""
        paths = self._records.glob("*.json") if self._records.is_dir() else ()
        records = (Record(**json.loads(path.read_text(encoding="utf-8"))) for path in paths)
        return sorted(records, key=lambda r: r.start_ticks)

    def log(self, name: str) -> Path:
        """Where the output of `name` goes."""
        return self._logs / f"{name}.log"

    def tail(self, name: str, lines: int = 20) -> str:
        """The end of its output."""
        try:
            return "\n".join(self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def stop(self, name: str, *, at_once: bool = False) -> None:
        """End `name`: by SIGTERM, then by SIGKILL; `at_once`: by SIGKILL. Nothing happens where it does not run."""
        known = self.get(name)
        if known is None:
            return
        end(known, at_once=at_once)
        (self._records / f"{name}.json").unlink(missing_ok=True)

    def stop_all(self, *, at_once: bool = False) -> None:
        """End every process, the youngest first, and whatever they left behind."""
        for known in reversed(self.all()):
            self.stop(known.name, at_once=at_once)
        for stray in marked(self._folder):
            end(stray, at_once=at_once)


def marked(folder: Path) -> list[Record]:
    """Every running process that belongs to `folder` by its environment."""
    mark = f"{_MARK}={folder}".encode()
    found: list[Record] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(record(path.parent.name, int(path.parent.name)))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def end(known: Record, *, at_once: bool = False) -> None:
    """End the recorded process, if it is still that one, and wait until its last thread has gone.

    Raises:
        TimeoutError: it survived SIGKILL for ten seconds.
    """
    try:
        descriptor = os.pidfd_open(known.pid)
    except ProcessLookupError:
        return
    try:
        # From here on the descriptor means this process, whatever becomes of its id.
        if not known.alive():
            return
        for number in (signal.SIGKILL,) if at_once else (signal.SIGTERM, signal.SIGKILL):
            if _ended_by(descriptor, number):
                _reap(known.pid)
                return
    finally:
        os.close(descriptor)
    raise TimeoutError(f"{known.name}: process {known.pid} does not end")


def _ended_by(descriptor: int, number: signal.Signals) -> bool:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(_KILL_AFTER_SECONDS * 1000))


def _reap(pid: int) -> None:
    """Collect `pid` if it is a child of this process and has ended."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _boot() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()
