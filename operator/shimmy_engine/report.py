"""The one-line result of a command, for the operator to read as the container's termination message."""

import json
import logging
from pathlib import Path
from typing import Any, Final

from shimmy_engine.gguf_header import GgufError

log = logging.getLogger(__name__)

TERMINATION_LOG: Final = Path("/dev/termination-log")
"""Kubernetes' default terminationMessagePath; it reads at most 4096 bytes of it."""
_LONGEST_MESSAGE: Final = 1000


def write_report(path: Path, result: dict[str, Any]) -> None:
    """Write a result; where there is no such place, as on a laptop, it goes to the log alone."""
    line = json.dumps(result, separators=(",", ":"), ensure_ascii=False)
    log.info("%s", line)
    if path == TERMINATION_LOG and not path.exists():  # root could make one in /dev
        return
    try:
        path.write_text(line + "\n")
    except OSError as error:
        log.warning("the result cannot be written to %s: %s", path, error.strerror)


def refusal_of(error: GgufError) -> dict[str, str]:
    """A refusal as a result."""
    return {"reason": error.reason, "message": error.message[:_LONGEST_MESSAGE]}
