"""What to do with an engine that goes on with an answer for which nobody waits. Pure."""

from typing import Literal


def end_early(
    *, remaining: int, pace: float | None, restart: float, patience: float
) -> tuple[Literal["waited", "restarted"], float]:
    """Choose between waiting the answer out and restarting the engine, by what each was measured to cost.

    `remaining` tokens may come, at `pace` seconds each (None where that is not known yet); the engine's last start
    took `restart` seconds. Returns the choice and the seconds to wait before a restart, at most `patience`.
    """
    wait = patience if pace is None else remaining * pace
    if pace is not None and wait > restart:
        return "restarted", 0.0
    return "waited", patience
