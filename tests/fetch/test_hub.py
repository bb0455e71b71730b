"""Files and repositories of a hub."""

import hashlib
import json
import logging
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from tests.fetch.hubs import COMMIT, REPOSITORY, TOKEN, Hub, hub

from shimmy_engine.fetch.file import fetch_file
from shimmy_engine.fetch.folder import MARKER, fetch_folder, read_marker
from shimmy_engine.fetch.options import FetchOptions
from shimmy_engine.gguf_header import GgufError

WEIGHTS = random.Random(1).randbytes(20_000)
FOLDER = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}", "model.safetensors": WEIGHTS}
OTHERS = {
    "README.md": b"read me",
    "pytorch_model.bin": b"a pickle",
    "onnx/model.json": b"{}",
    "consolidated.safetensors": b"the same weights once more",
    MARKER: b'{"repository": "org/tiny", "revision": "main", "commit": "", "files": {}}',
}


@pytest.fixture
def tiny(model: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub({**OTHERS, **FOLDER, "toy.Q8_0.gguf": model}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "volume" / "tiny"


def test_the_hub_is_one_that_huggingface_hub_understands(tiny: Hub) -> None:
    api = huggingface_hub.HfApi(endpoint=tiny.url, token=False)
    info = api.model_info(REPOSITORY, files_metadata=True, revision="main")
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    weights = siblings["model.safetensors"]
    assert (info.sha, weights.size) == (COMMIT, len(WEIGHTS))
    assert weights.lfs is not None
    assert weights.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    for name in ("config.json", "model.safetensors"):
        url = huggingface_hub.hf_hub_url(REPOSITORY, name, revision=COMMIT, endpoint=tiny.url)
        metadata = huggingface_hub.get_hf_file_metadata(url, endpoint=tiny.url, token=False)
        assert (metadata.commit_hash, metadata.size) == (COMMIT, len(FOLDER[name]))


@pytest.mark.usefixtures("tiny")
def test_a_file_of_a_commit_needs_no_digest(model: bytes, destination: Path) -> None:
    fetch_file(f"hf://{REPOSITORY}@{COMMIT}/toy.Q8_0.gguf", destination)
    assert destination.read_bytes() == model


def test_a_file_of_a_branch_needs_one(tiny: Hub, model: bytes, destination: Path) -> None:
    source = f"hf://{REPOSITORY}/toy.Q8_0.gguf"
    with pytest.raises(ValueError, match="sha256 is required"):
        fetch_file(source, destination)
    with pytest.raises(GgufError) as caught:
        fetch_file(source, destination, "0" * 64)
    assert caught.value.reason == "ChecksumMismatch"
    assert not tiny.storage.requests
    fetch_file(source, destination, hashlib.sha256(model).hexdigest())
    assert destination.read_bytes() == model


def test_a_mirror_that_tells_no_checksum_is_not_believed(
    tiny: Hub, model: bytes, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = {"id": REPOSITORY, "sha": COMMIT, "siblings": [{"rfilename": "toy.Q8_0.gguf"}]}
    monkeypatch.setattr(tiny, "_listing", lambda: listing)
    source = f"hf://{REPOSITORY}@{COMMIT}/toy.Q8_0.gguf"
    with pytest.raises(GgufError) as caught:
        fetch_file(source, destination)
    assert caught.value.reason == "ChecksumUnknown"
    fetch_file(source, destination, hashlib.sha256(model).hexdigest())


@pytest.mark.usefixtures("tiny")
def test_a_file_that_is_not_there_is_told_with_those_that_are(destination: Path) -> None:
    with pytest.raises(GgufError, match=r"no file toy\.gguf; its GGUF files are toy\.Q8_0\.gguf") as caught:
        fetch_file(f"hf://{REPOSITORY}@{COMMIT}/toy.gguf", destination)
    assert caught.value.reason == "SourceMissing"


def test_the_token_is_shown_to_the_hub_and_to_nobody_else(
    tiny: Hub, model: bytes, destination: Path, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "shimmy_engine")
    tiny.private = True
    source = f"hf://{REPOSITORY}@{COMMIT}/toy.Q8_0.gguf"
    with pytest.raises(GgufError, match="Invalid username or password") as caught:
        fetch_file(source, destination)
    assert caught.value.reason == "AccessDenied"
    (secret / "token").write_text(f"{TOKEN}\n")
    fetch_file(source, destination, options=FetchOptions(credentials=secret))
    assert destination.read_bytes() == model
    assert set(tiny.storage.authorizations) == {None}
    assert TOKEN not in caplog.text
    assert "Signature" not in caplog.text


def test_a_laptop_shows_its_own_token(
    tiny: Hub, model: bytes, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.private = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch_file(f"hf://{REPOSITORY}@{COMMIT}/toy.Q8_0.gguf", destination)
    assert destination.read_bytes() == model


@pytest.mark.usefixtures("tiny")
def test_a_repository_is_fetched_as_a_folder_with_what_a_conversion_reads(folder: Path) -> None:
    fetched = fetch_folder(f"hf://{REPOSITORY}", folder)
    assert {path.name for path in folder.iterdir()} == {*FOLDER, MARKER}
    assert {name: (folder / name).read_bytes() for name in FOLDER} == FOLDER
    assert fetched.commit == COMMIT
    assert fetched.size_bytes == sum(map(len, FOLDER.values()))
    assert read_marker(folder) == fetched


def test_a_complete_folder_of_a_commit_is_kept_without_a_look_at_the_hub(tiny: Hub, folder: Path) -> None:
    first = fetch_folder(f"hf://{REPOSITORY}@{COMMIT}", folder)
    tiny.requests.clear()
    assert fetch_folder(f"hf://{REPOSITORY}@{COMMIT}", folder) == first
    assert fetch_folder(f"hf://{REPOSITORY}@{COMMIT}", folder, FetchOptions(offline=True)) == first
    assert not tiny.requests


def test_a_complete_folder_of_a_branch_is_kept_while_the_branch_stays(tiny: Hub, folder: Path) -> None:
    fetch_folder(f"hf://{REPOSITORY}@main", folder)
    tiny.requests.clear()
    fetch_folder(f"hf://{REPOSITORY}@main", folder)
    assert tiny.requests == [f"/api/models/{REPOSITORY}/revision/main"]
    tiny.requests.clear()
    fetch_folder(f"hf://{REPOSITORY}@main", folder, FetchOptions(offline=True))
    assert not tiny.requests


def test_a_half_fetched_folder_is_never_taken_for_whole_and_goes_on(tiny: Hub, folder: Path) -> None:
    tiny.storage.statuses = [404]
    with pytest.raises(GgufError) as caught:
        fetch_folder(f"hf://{REPOSITORY}", folder)
    assert caught.value.reason == "SourceMissing"
    assert (folder / "config.json").exists()
    assert read_marker(folder) is None
    with pytest.raises(GgufError, match="offline"):
        fetch_folder(f"hf://{REPOSITORY}", folder, FetchOptions(offline=True))
    tiny.requests.clear()
    fetch_folder(f"hf://{REPOSITORY}", folder)
    assert read_marker(folder) is not None
    assert not any("config.json" in request for request in tiny.requests), "a file that was there is fetched again"


@pytest.mark.parametrize("name", FOLDER)
def test_a_file_with_other_content_than_the_hub_lists_is_not_kept(
    tiny: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    listing = json.loads(json.dumps(tiny._listing()))
    monkeypatch.setattr(tiny, "_listing", lambda: listing)
    tiny.files[name] = bytes(len(FOLDER[name]))
    with pytest.raises(GgufError) as caught:
        fetch_folder(f"hf://{REPOSITORY}", folder)
    assert caught.value.reason == "ChecksumMismatch"
    assert not (folder / name).exists()
    assert read_marker(folder) is None


@pytest.mark.usefixtures("tiny")
def test_a_file_that_was_lost_is_fetched_again(folder: Path) -> None:
    fetch_folder(f"hf://{REPOSITORY}@{COMMIT}", folder)
    (folder / "model.safetensors").write_bytes(b"cut off")
    assert read_marker(folder) is None
    fetch_folder(f"hf://{REPOSITORY}@{COMMIT}", folder)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.usefixtures("tiny")
def test_a_folder_without_room_is_told_before_anything_is_fetched(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(GgufError) as caught:
        fetch_folder(f"hf://{REPOSITORY}", folder)
    assert caught.value.reason == "NoSpace"
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("tiny")
def test_a_repository_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(GgufError, match="Repository not found") as caught:
        fetch_folder("hf://org/absent", folder)
    assert caught.value.reason == "SourceMissing"
