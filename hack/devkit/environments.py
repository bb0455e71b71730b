"""Virtual environments beside the development one, made from a lock file when something needs them."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from devkit.paths import REPOSITORY, cache
from devkit.progress import say


def python_of(lock: str) -> Path:
    """The Python of an environment with requirements/`lock`.txt, installed first where it is missing.

    It lies under the user's cache, named by the lock's digest, as hack/lib/venv.sh does with the development one.
    """
    requirements = REPOSITORY / "requirements" / f"{lock}.txt"
    digest = hashlib.sha256(sys.version.encode() + requirements.read_bytes()).hexdigest()[:12]
    folder = cache() / f"venv-{lock}-{digest}"
    python = folder / "bin" / "python"
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            say(f"installing requirements/{lock}.txt into {folder}")
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
            subprocess.run([*install, "--requirement", str(requirements)], check=True)
            (folder / ".complete").touch()
    return python
