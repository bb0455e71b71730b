"""Files on a volume that become models by themselves."""

import json
from typing import Any

from devkit import models
from devkit.demo.fleet import NAMESPACE, TENANT, Fleet
from devkit.kubectl import ready_condition
from devkit.waiting import until
from shimmy_api import names

_PLACE = """
import os, pathlib, sys
folder = pathlib.Path("/models/found")
folder.mkdir(exist_ok=True)
os.link(pathlib.Path("/models", sys.argv[1]), folder / "Personal-SmolLM2.gguf")
(folder / "cut.gguf").write_bytes(b"GGUF")
"""


def discover(fleet: Fleet, wanted: dict[str, Any] | None) -> None:
    patch = json.dumps({"spec": {"discovery": wanted}})
    fleet.kubectl.run("patch", "shimmytenant", TENANT, "--type=merge", "-p", patch)


def status(fleet: Fleet) -> dict[str, Any]:
    return dict((fleet.kubectl.get("shimmytenant", TENANT) or {})["status"])


def test_a_file_on_a_claim_becomes_a_model_that_is_ready(fleet: Fleet) -> None:
    fleet.kubectl.run(*("exec", "-n", NAMESPACE, "model-loader", "--", "python3", "-c", _PLACE, models.SMOLLM2))
    discover(fleet, {"sources": [{"name": "found", "source": "pvc://models/found"}]})

    def checked() -> dict[str, Any] | None:
        found = fleet.kubectl.get("shimmymodel", "personal-smollm2", NAMESPACE)
        return found if found and ready_condition(found).get("reason") == "Checked" else None

    try:
        model = until(checked, "the file is a checked model", seconds=180, every=0.5)
    except TimeoutError as error:
        raise AssertionError(f"{error}; the tenant says {status(fleet)}") from None
    assert model["spec"]["personal"] is True
    assert model["metadata"]["labels"][names.LABEL_DISCOVERED_BY] == "found"
    (source,) = status(fleet)["discovery"]
    assert [skip["reason"] for skip in source["skips"]] == ["Truncated"]
    discover(fleet, None)
