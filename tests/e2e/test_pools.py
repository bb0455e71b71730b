"""Other pools than the demo's: two pods of which one goes, and the other line of Shimmy."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from tests.e2e.pods import engines

from devkit import models
from devkit.demo.chat import chat
from devkit.demo.fleet import INSTANCE, MODEL, NAMESPACE, Fleet


@pytest.fixture(autouse=True)
def _room(fleet: Fleet) -> Iterator[None]:
    """The demo's own instance makes room, and comes back."""
    scale = ("scale", f"shimmyinstance/{INSTANCE}", "-n", NAMESPACE)
    fleet.kubectl.run(*scale, "--replicas=0")
    yield
    fleet.kubectl.run("delete", "shimmyinstance", "-n", NAMESPACE, "pool", "--ignore-not-found")
    fleet.kubectl.run(*scale, "--replicas=1")
    fleet.kubectl.wait_ready("shimmyinstance", INSTANCE, NAMESPACE)


def _serve(fleet: Fleet, *models: str, flavor: str, cpu: str, replicas: int = 1, placement: str = "Dedicated") -> None:
    engine = {"flavor": flavor, "resources": {"cpu": cpu}}
    manifest = {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyInstance",
        "metadata": {"name": "pool", "namespace": NAMESPACE},
        "spec": {"models": list(models), "replicas": replicas, "engine": engine, "placement": placement},
    }
    fleet.kubectl.apply(yaml.safe_dump(manifest))
    fleet.kubectl.wait_ready("shimmyinstance", "pool", NAMESPACE)


def test_no_request_fails_while_one_of_two_pods_goes(fleet: Fleet, url: str) -> None:
    _serve(fleet, MODEL, flavor="llama", cpu="400m", replicas=2)
    key, gone = fleet.key(), threading.Event()

    def ask() -> list[str]:
        pods: list[str] = []
        while len(pods) < 5 or not gone.is_set():
            pods.append(chat(url, key, MODEL, "Hello", max_tokens=4).pod)
        return pods

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask) for _ in range(2)]
        try:
            victim = engines(fleet)[0]["metadata"]["name"]
            fleet.kubectl.run("delete", "pod", victim, "-n", NAMESPACE, "--wait=true")
        finally:
            gone.set()
        answered = [pod for future in asked for pod in future.result()]
    # Every request was answered, for a refusal raises; some of them by the pod that stayed.
    assert len(answered) >= 10
    assert set(answered) - {victim}


def test_two_models_share_one_pod_which_changes_between_them(fleet: Fleet, url: str) -> None:
    served = fleet.kubectl.get("shimmymodel", MODEL, NAMESPACE)
    assert served
    twin = {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyModel",
        "metadata": {"name": "twin", "namespace": NAMESPACE},
        "spec": {"backend": served["spec"]["backend"]},
    }
    fleet.kubectl.apply(yaml.safe_dump(twin))
    fleet.kubectl.wait_ready("shimmymodel", "twin", NAMESPACE)
    _serve(fleet, MODEL, "twin", flavor="llama", cpu="1", placement="Shared")
    answers = [chat(url, fleet.key(), model, "Hello", max_tokens=4) for model in (MODEL, "twin", MODEL)]
    assert {answer.pod for answer in answers} == {engines(fleet)[0]["metadata"]["name"]}
    assert all(answer.completion_tokens for answer in answers)


def test_the_airframe_line_answers_on_software_vulkan(fleet: Fleet, url: str) -> None:
    tiny = models.tiny()
    fleet.copy_to_volume(tiny)
    manifest = {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyModel",
        "metadata": {"name": "tiny", "namespace": NAMESPACE},
        "spec": {"backend": {"gguf": {"source": f"pvc://models/{tiny.name}"}}},
    }
    fleet.kubectl.apply(yaml.safe_dump(manifest))
    fleet.kubectl.wait_ready("shimmymodel", "tiny", NAMESPACE)
    _serve(fleet, "tiny", flavor="airframe", cpu="1")
    answer = chat(url, fleet.key(), "tiny", "Hello", max_tokens=8)
    assert answer.prompt_tokens > 0
    assert answer.completion_tokens == 8
