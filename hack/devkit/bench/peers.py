"""Other gateways, as `hack/bench router --peers` measures them: each in an environment of its own, one worker each."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devkit.bench.envoys import HOST, KEY, MODEL, Proxy, process
from devkit.environments import python_of
from devkit.ports import free


@contextmanager
def vllm_router(folder: Path, upstream: int) -> Iterator[Proxy]:
    """vllm-router, by turns: the fastest of its policies. It knows neither tenants nor keys."""
    port, metrics = free(2)
    program = python_of("peers-vllm-router").with_name("vllm-router")
    command = [str(program), "--host", HOST, "--port", str(port), "--prometheus-port", str(metrics)]
    command += ["--policy", "round_robin", "--log-level", "error", "--worker-urls", f"http://{HOST}:{upstream}"]
    with process(command, folder / "vllm-router.log") as started:
        yield Proxy(port, started)


@contextmanager
def litellm(folder: Path, upstream: int) -> Iterator[Proxy]:
    """LiteLLM's proxy with a master key, no database and no log of requests."""
    (port,) = free(1)
    program = python_of("peers-litellm").with_name("litellm")
    parameters = {"model": f"openai/{MODEL}", "api_base": f"http://{HOST}:{upstream}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }
    file = folder / "litellm.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    command = [str(program), "--config", str(file), "--host", HOST, "--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": HOST, "no_proxy": HOST}
    with process(command, folder / "litellm.log", os.environ | quiet) as started:
        yield Proxy(port, started)
