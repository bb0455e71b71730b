"""What the kernel says of other processes, by proc(5)."""

import os
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, user and system. Fields 14 and 15 of /proc/PID/stat, proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory in RAM, shared pages included. Field 2 of /proc/PID/statm."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def peak_mib(pid: int) -> float:
    """The most memory in RAM that it has had. VmHWM of /proc/PID/status, proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def open_files(pid: int) -> int:
    """Open file descriptors, sockets included."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def children(pid: int) -> list[int]:
    """Processes that it has started and that have not ended, oldest first."""
    text = "".join(path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [child for child in sorted(map(int, text.split())) if command(child)]


def command(pid: int) -> list[str]:
    """Command line; empty of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def with_environment(text: str) -> list[int]:
    """Processes of ours with `text` somewhere in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found
