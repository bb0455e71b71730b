"""The Gateway API's custom resource definitions, from their Go module: the version is said in hack/go/gateway-api."""

import json
import subprocess
from pathlib import Path
from typing import Final

from devkit.paths import GO_MODULES

_MODULE: Final = "sigs.k8s.io/gateway-api"


def crds() -> Path:
    """Folder of the standard channel's definitions. Go verifies the module by go.sum, and keeps it in its cache."""
    command = ["go", "mod", "download", "-json", _MODULE]
    done = subprocess.run(command, cwd=GO_MODULES / "gateway-api", capture_output=True, text=True, check=True)
    return Path(json.loads(done.stdout)["Dir"], "config", "crd", "standard")
