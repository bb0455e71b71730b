"""The models and answers of reference_models.py, made once per version of it and its libraries."""

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from devkit.environments import python_of
from devkit.paths import cache
from devkit.progress import step

_SCRIPT = Path(__file__).with_name("reference_models.py")
_QUIET = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def reference() -> Path:
    """The folder with what transformers and peft made."""
    python = python_of("reference")
    digest = hashlib.sha256(python.as_posix().encode() + _SCRIPT.read_bytes()).hexdigest()[:12]
    folder = cache() / "models" / f"reference-{digest}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as partial, step("training the reference models"):
            made = Path(partial) / "made"
            made.mkdir()
            subprocess.run([python, _SCRIPT, made], env=os.environ | _QUIET, check=True)
            made.rename(folder)
    return folder


def answers(folder: Path) -> dict[str, dict[str, list[list[str]]]]:
    """What transformers answers: name of the model -> "chat" or "plain" -> prompts and answers."""
    found: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    return found
