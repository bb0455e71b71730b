"""What a child process sets for itself between fork and exec."""

import ctypes
import resource
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
"""linux/prctl.h: the signal that the kernel sends when the parent has died."""
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def confine() -> None:
    """Die with the parent, where the system can do that, and write no core dump: it would hold prompts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _LIBC:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
