"""Finds the Shimmy program and learns what it is."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from shimmy_engine.quirks import Release, UnknownShimmyError, release_of

_SECONDS: Final = 20.0


def find_program(given: Path | None) -> Path:
    """Path of the program: the one given, else $SHIMMY_BINARY, else `shimmy` on PATH, else where cargo installs it.

    Raises:
        UnknownShimmyError: there is none, or the one given is no program.
    """
    named = given or (Path(os.environ["SHIMMY_BINARY"]) if os.environ.get("SHIMMY_BINARY") else None)
    if named:
        if not os.access(named, os.X_OK) or named.is_dir():
            raise UnknownShimmyError(f"{named} is no program that can be started")
        return named.absolute()
    cargo = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin" / "shimmy"
    found = shutil.which("shimmy") or shutil.which(cargo)
    if not found:
        raise UnknownShimmyError("no shimmy on PATH: install one (cargo install shimmy) or name it by --shimmy-binary")
    return Path(found).absolute()


def identify(program: Path) -> Release:
    """Ask the program for its version.

    Raises:
        UnknownShimmyError: it does not tell one, or one that cannot be served.
    """
    try:
        told = subprocess.run(  # noqa: S603 - it is the program that was chosen
            [program, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnknownShimmyError(f"{program} --version: {error}") from error
    lines = told.stdout.strip().splitlines()
    if told.returncode or not lines:
        raise UnknownShimmyError(f"{program} --version ended with {told.returncode} and no version")
    return release_of(lines[-1])
