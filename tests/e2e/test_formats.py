"""Models of every format become pods that answer, as transformers and peft themselves answer."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.convert import reference

from devkit.demo.chat import chat
from devkit.demo.fleet import INSTANCE, NAMESPACE, Fleet
from devkit.kubectl import ready_condition
from devkit.waiting import until
from shimmy_engine.convert.lora import convert_lora
from shimmy_engine.convert.model import convert_model

_UNPACK = "import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|').extractall('/models', filter='data')"
FOLDERS = ("llama", "llama-adapter", "llama-tied")
QUESTION = 0


@pytest.fixture(scope="module")
def made() -> Path:
    return reference.reference()


@pytest.fixture(scope="module", autouse=True)
def _filled(fleet: Fleet, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The demo's volume with models and adapters on it; the demo's own instance makes room."""
    folder = tmp_path_factory.mktemp("gguf")
    convert_model(made / "llama", folder / "base.gguf")
    convert_lora(made / "llama-adapter", folder / "acme.gguf", base=folder / "base.gguf")
    packed = folder / "all.tar"
    with tarfile.open(packed, "w") as archive:
        for name in FOLDERS:
            archive.add(made / name, name)
        for name in ("base.gguf", "acme.gguf"):
            archive.add(folder / name, name)
    with packed.open("rb") as file:
        fleet.kubectl.run("exec", "-i", "-n", NAMESPACE, "model-loader", "--", "python3", "-c", _UNPACK, file=file)
    scale = ("scale", f"shimmyinstance/{INSTANCE}", "-n", NAMESPACE)
    fleet.kubectl.run(*scale, "--replicas=0")
    yield
    fleet.kubectl.run("delete", "shimmyinstance", "-n", NAMESPACE, "formats", "--ignore-not-found")
    fleet.kubectl.run(*scale, "--replicas=1")
    fleet.kubectl.wait_ready("shimmyinstance", INSTANCE, NAMESPACE)


def apply(fleet: Fleet, kind: str, name: str, spec: dict[str, Any]) -> None:
    metadata = {"name": name, "namespace": NAMESPACE}
    manifest = {"apiVersion": "shimmy.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    fleet.kubectl.apply(yaml.safe_dump(manifest))


@pytest.mark.parametrize(
    ("name", "backend", "answers"),
    [
        (
            "merged",
            {"huggingFace": {"baseModel": "pvc://models/llama", "peftSource": "pvc://models/llama-adapter"}},
            "llama-adapter",
        ),
        ("file", {"candle": {"source": "pvc://models/llama-tied/model.safetensors"}}, "llama-tied"),
        (
            "beside",
            {"gguf": {"source": "pvc://models/base.gguf", "loraSource": "pvc://models/acme.gguf"}},
            "llama-adapter",
        ),
    ],
)
def test_a_model_answers_as_its_makers_library_does(
    fleet: Fleet, url: str, made: Path, name: str, backend: dict[str, Any], answers: str
) -> None:
    apply(fleet, "ShimmyModel", name, {"backend": backend, "storage": {"size": "100Mi"}})
    artifact = fleet.kubectl.wait_ready("shimmymodel", name, NAMESPACE, seconds=120)["status"]["artifact"]
    assert artifact["claimName"] == ("models" if name == "beside" else f"shimmy-model-{name}")
    apply(fleet, "ShimmyInstance", "formats", {"models": [name], "engine": {"resources": {"cpu": "400m"}}})
    fleet.kubectl.wait_ready("shimmyinstance", "formats", NAMESPACE)
    question, wanted = reference.answers(made)[answers]["chat"][QUESTION]
    assert chat(url, fleet.key(), name, question, max_tokens=24).text == wanted


def test_what_cannot_be_converted_says_why(fleet: Fleet) -> None:
    backend = {"huggingFace": {"baseModel": "pvc://models/llama-adapter"}}
    apply(fleet, "ShimmyModel", "lonely", {"backend": backend, "storage": {"size": "100Mi"}})

    def refused() -> dict[str, Any] | None:
        condition = ready_condition(fleet.kubectl.get("shimmymodel", "lonely", NAMESPACE))
        return condition if condition.get("reason") == "FileMissing" else None

    condition = until(refused, "the adapter is refused", seconds=120, every=0.5)
    assert "holds an adapter and no model" in condition["message"]
