"""Files that must not be served."""

from typing import Any

import pytest
import yaml

from devkit import models
from devkit.demo.fleet import NAMESPACE, Fleet
from devkit.kubectl import ready_condition
from devkit.waiting import until

_TRUNCATE = """
import pathlib, sys
source = pathlib.Path("/models", sys.argv[1])
pathlib.Path("/models/half.gguf").write_bytes(source.read_bytes()[: source.stat().st_size // 2])
"""


@pytest.mark.parametrize(
    ("name", "path", "sha256", "reason"),
    [
        ("absent", "absent.gguf", None, "FileMissing"),
        ("half", "half.gguf", None, "Truncated"),
        ("other", models.SMOLLM2, "0" * 64, "ChecksumMismatch"),
    ],
)
def test_a_file_that_is_not_right_is_refused_with_the_reason(
    fleet: Fleet, name: str, path: str, sha256: str | None, reason: str
) -> None:
    fleet.kubectl.run(*("exec", "-n", NAMESPACE, "model-loader", "--", "python3", "-c", _TRUNCATE, models.SMOLLM2))
    source: dict[str, Any] = {"source": f"pvc://models/{path}"} | ({"sha256": sha256} if sha256 else {})
    manifest = {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyModel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"backend": {"gguf": source}},
    }
    fleet.kubectl.apply(yaml.safe_dump(manifest))

    def refused() -> dict[str, Any] | None:
        condition = ready_condition(fleet.kubectl.get("shimmymodel", name, NAMESPACE))
        return condition if condition.get("reason") == reason else None

    condition = until(refused, f"model {name} is refused", seconds=60, every=0.5)
    assert condition["status"] == "False"
    if sha256:
        assert sha256 in condition["message"]
