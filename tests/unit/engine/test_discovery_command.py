"""The command line, and the way into a ConfigMap."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from tests.fakes.shimmy import toy_gguf
from tests.unit.engine import hugging_face
from typer.testing import CliRunner, Result

from shimmy_api.discovery import DiscoveryReport
from shimmy_api.model import ShimmyModelSpec
from shimmy_engine.__main__ import app
from shimmy_engine.discovery import delivery
from shimmy_engine.discovery.delivery import ApiServer, NotDeliveredError, deliver, in_cluster


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["discover", *map(str, arguments)])


def test_all_that_was_found_is_printed_as_json(tmp_path: Path) -> None:
    toy_gguf.write(tmp_path / "toy.gguf")
    (tmp_path / "page.gguf").write_text("<html>")
    done = run(tmp_path)
    report = DiscoveryReport.model_validate_json(done.stdout)
    assert done.exit_code == 0
    assert [model.name for model in report.models] == ["toy"]
    assert [item.reason for item in report.skipped] == ["NotGguf"]


def test_shimmy_models_are_printed_ready_to_be_applied(tmp_path: Path) -> None:
    (tmp_path / "llm").mkdir()
    toy_gguf.write(tmp_path / "llm" / "personal.gguf")
    arguments = ("--output", "yaml", "--namespace", "shimmy-a", "--claim", "models", "--mount", tmp_path)
    (manifest,) = yaml.safe_load_all(run(tmp_path / "llm", *arguments).stdout)
    assert manifest["metadata"] == {"name": "personal", "namespace": "shimmy-a"}
    spec = ShimmyModelSpec.model_validate(manifest["spec"])
    assert spec.personal
    assert spec.backend.gguf is not None
    assert spec.backend.gguf.source == "pvc://models/llm/personal.gguf"


def test_adapters_are_printed_with_their_bases(tmp_path: Path) -> None:
    hugging_face.save_model(tmp_path / "acme" / "tiny")
    hugging_face.save_adapter(tmp_path / "voice", base_model_name_or_path="acme/tiny")
    hugging_face.save_adapter(tmp_path / "lost", base_model_name_or_path="acme/huge")
    done = run(tmp_path, "--output", "yaml", "--claim", "models")
    specs = {
        manifest["metadata"]["name"]: ShimmyModelSpec.model_validate(manifest["spec"])
        for manifest in yaml.safe_load_all(done.stdout)
    }
    assert specs.keys() == {"tiny", "voice"}
    backend = specs["voice"].backend.hugging_face
    assert backend is not None
    assert (backend.base_model, backend.peft_source) == ("pvc://models/acme/tiny", "pvc://models/voice")
    assert (specs["tiny"].personal, specs["voice"].personal) == (False, True)
    assert specs["tiny"].storage.size == "1Gi"


def test_nothing_found_is_no_manifest_and_no_error(tmp_path: Path) -> None:
    done = run(tmp_path, "--output", "yaml", "--claim", "models")
    assert (done.exit_code, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [(("--output", "yaml"), "--claim"), (("other", "--claim", "models"), "--mount")],
)
def test_what_is_lacking_is_named(tmp_path: Path, arguments: tuple[str, ...], advice: str) -> None:
    done = run(tmp_path, *arguments)
    assert done.exit_code == 2
    assert advice in done.stderr


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path / "missing")
    assert (done.exit_code, done.stdout) == (1, "")


class Answers:
    """An API server that answers as told; tests/api has the real one's answers."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.requests: list[tuple[str, dict[str, str], Any]] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_PATCH(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answers.requests.append((self.path, dict(self.headers), body))
                self.send_response(answers.codes.pop(0))
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def server(answers: Answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ApiServer]:
    monkeypatch.setattr(delivery, "_PAUSE", 0.0)
    with HTTPServer(("127.0.0.1", 0), answers.handler()) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield ApiServer(f"http://127.0.0.1:{http.server_port}", "shimmy-a", "t0ken", tmp_path)
        http.shutdown()
        thread.join()


def test_a_report_is_put_under_its_key_and_nothing_else_is_touched(answers: Answers, server: ApiServer) -> None:
    answers.codes = [200]
    deliver(b"packed", "found", "shared", server)
    ((path, headers, body),) = answers.requests
    assert path == "/api/v1/namespaces/shimmy-a/configmaps/found"
    assert headers["authorization"] == "Bearer t0ken"
    assert headers["content-type"] == "application/merge-patch+json"
    assert body == {"binaryData": {"shared": base64.b64encode(b"packed").decode()}}


def test_a_server_in_trouble_is_asked_again(answers: Answers, server: ApiServer) -> None:
    answers.codes = [500, 429, 200]
    deliver(b"packed", "found", "shared", server)
    assert len(answers.requests) == 3


@pytest.mark.parametrize(("codes", "asked"), [([403], 1), ([503] * 4, 4)])
def test_a_refusal_is_told(answers: Answers, server: ApiServer, codes: list[int], asked: int) -> None:
    answers.codes = list(codes)
    with pytest.raises(NotDeliveredError, match=str(codes[0])):
        deliver(b"packed", "found", "shared", server)
    assert len(answers.requests) == asked


def test_a_pod_finds_its_api_server(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("shimmy-a\n")
    (tmp_path / "token").write_text("t0ken\n")
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = in_cluster(tmp_path, environment)
    assert found == ApiServer("https://[fd00::1]:443", "shimmy-a", "t0ken", tmp_path / "ca.crt")
    with pytest.raises(NotDeliveredError):
        in_cluster(tmp_path / "missing", environment)
