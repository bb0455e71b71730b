"""Discovery over folders with real files of each kind."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from safetensors.numpy import save_file
from tests.fakes.shimmy import toy_gguf
from tests.unit.engine import discovery_samples as samples
from tests.unit.engine import hugging_face

from shimmy_api.discovery import Discovered, DiscoveryReport
from shimmy_engine.discovery.scan import Claim, Wishes, discover

WEIGHTS = sum(tensor.size for tensor in hugging_face.weights().values())


def look(
    *roots: Path, claim: Claim | None = None, personal: tuple[str, ...] = (), sha256: bool = False
) -> DiscoveryReport:
    return discover(roots, Wishes(claim, personal, sha256))


def only(report: DiscoveryReport) -> Discovered:
    assert report.skipped == ()
    (model,) = report.models
    return model


def reasons(report: DiscoveryReport, root: Path) -> dict[str, str]:
    return {str(Path(item.path).relative_to(root)): item.reason for item in report.skipped}


def test_a_gguf_file_is_described_by_its_header(tmp_path: Path) -> None:
    path = toy_gguf.write(tmp_path / "Toy-2B.Q8_0.gguf")
    model = only(look(tmp_path))
    assert (model.name, model.kind, model.path) == ("toy-2b-q8-0", "gguf", str(path))
    assert (model.architecture, model.quantization, model.context_length) == ("llama", "Q8_0", toy_gguf.CONTEXT)
    assert (model.parameters, model.size_bytes) == (268 * 32, path.stat().st_size)
    assert model.lines == ("llama", "airframe")
    assert not model.personal
    assert model.source is None
    assert model.sha256 is None


def test_a_digest_is_computed_where_it_is_asked_for(tmp_path: Path) -> None:
    path = toy_gguf.write(tmp_path / "toy.gguf")
    assert only(look(tmp_path, sha256=True)).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_hugging_face_folder_is_described_by_its_config_and_the_headers_of_its_weights(tmp_path: Path) -> None:
    folder = hugging_face.save_model(tmp_path / "acme" / "tiny")
    model = only(look(tmp_path))
    assert (model.name, model.kind, model.path) == ("tiny", "huggingFace", str(folder))
    assert (model.architecture, model.quantization, model.context_length) == ("llama", "BF16", 128)
    assert model.parameters == WEIGHTS
    assert "acme/tiny" in model.known_as


def test_a_folder_of_hugging_faces_cache_is_named_after_its_repository(tmp_path: Path) -> None:
    blobs = tmp_path / "models--acme--tiny" / "blobs"
    folder = hugging_face.save_model(tmp_path / "models--acme--tiny" / "snapshots" / ("a" * 40))
    blobs.mkdir()
    for file in list(folder.iterdir()):  # the cache keeps content apart and links to it
        file.rename(blobs / f"{file.name}-digest")
        file.symlink_to(blobs / f"{file.name}-digest")
    model = only(look(tmp_path))
    assert model.name == "tiny"
    assert model.known_as[0] == "acme/tiny"


def test_of_a_folder_in_two_layouts_the_weights_count_once(tmp_path: Path) -> None:
    folder = hugging_face.save_model(tmp_path / "tiny")
    (folder / "consolidated.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert only(look(tmp_path)).parameters == WEIGHTS


def test_the_parts_that_an_index_names_count_together(tmp_path: Path) -> None:
    folder = hugging_face.save_model(tmp_path / "tiny")
    (folder / "model.safetensors").unlink()
    tensors = hugging_face.weights()
    parts = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(tensors)}
    for part in {*parts.values()}:
        save_file({name: tensor for name, tensor in tensors.items() if parts[name] == part}, folder / part)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    assert only(look(tmp_path)).parameters == WEIGHTS
    (folder / part).unlink()
    report = look(tmp_path)
    assert reasons(report, tmp_path) == {"tiny": "FileMissing"}
    assert part in report.skipped[0].message


def test_an_adapter_is_personal_and_finds_its_base_by_name(tmp_path: Path) -> None:
    base = hugging_face.save_model(tmp_path / "acme" / "tiny")
    hugging_face.save_adapter(tmp_path / "letters", base_model_name_or_path="acme/tiny")
    report = look(tmp_path, claim=Claim("models", tmp_path))
    adapter = report.models[1]
    assert (adapter.kind, adapter.name, adapter.personal) == ("peft", "letters", True)
    assert (adapter.base, adapter.rank, adapter.adapter_type) == ("acme/tiny", 2, "lora")
    assert (adapter.base_path, adapter.base_source) == (str(base), "pvc://models/acme/tiny")


def test_a_gguf_adapter_is_personal_and_finds_its_base_by_name(tmp_path: Path) -> None:
    base = toy_gguf.write(tmp_path / "tiny.gguf")
    samples.gguf_adapter(tmp_path / "voice.gguf")
    adapter = look(tmp_path).models[1]
    assert (adapter.kind, adapter.personal, adapter.rank, adapter.base) == ("ggufAdapter", True, 4, "Tiny")
    assert adapter.base_path == str(base)


def test_a_base_that_two_models_could_be_is_not_guessed(tmp_path: Path) -> None:
    hugging_face.save_model(tmp_path / "a" / "tiny")
    hugging_face.save_model(tmp_path / "b" / "tiny")
    hugging_face.save_adapter(tmp_path / "letters", base_model_name_or_path="tiny")
    adapter = next(model for model in look(tmp_path).models if model.kind == "peft")
    assert (adapter.base, adapter.base_path) == ("tiny", None)


def test_what_cannot_be_served_is_listed_with_the_reason(tmp_path: Path) -> None:
    content = toy_gguf.write(tmp_path / "toy.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(content[:-40])
    (tmp_path / "page.gguf").write_bytes(b"<html>")
    (tmp_path / "empty.gguf").touch()
    samples.projector(tmp_path / "mmproj.gguf")
    samples.gguf_adapter(tmp_path / "control.gguf", kind="control_vector")
    for part in (1, 2):
        (tmp_path / f"big-0000{part}-of-00002.gguf").write_bytes(content)
    (tmp_path / "half-00002-of-00003.gguf").write_bytes(content)
    damaged = hugging_face.save_model(tmp_path / "damaged") / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-4])
    (hugging_face.save_model(tmp_path / "bare") / "config.json").unlink()
    (hugging_face.save_model(tmp_path / "nothing") / "config.json").write_text("{}")
    (hugging_face.save_model(tmp_path / "broken") / "config.json").write_text("{")
    pickled = hugging_face.save_model(tmp_path / "pickled") / "model.safetensors"
    pickled.rename(pickled.with_name("pytorch_model.bin"))
    hugging_face.save_adapter(tmp_path / "prefix", peft_type="PREFIX_TUNING")
    hugging_face.save_model(tmp_path / "gemma", model_type="gemma3_text")
    (hugging_face.save_model(tmp_path / "mute") / "tokenizer.json").unlink()
    report = look(tmp_path)
    assert [model.name for model in report.models] == ["toy"]
    assert report.complete
    assert reasons(report, tmp_path) == {
        "bare": "NoConfig",
        "big-00001-of-00002.gguf": "Split",
        "broken": "Unsupported",
        "control.gguf": "Unsupported",
        "cut.gguf": "Truncated",
        "damaged": "NotSafetensors",
        "empty.gguf": "Truncated",
        "gemma": "Unsupported",
        "half-00002-of-00003.gguf": "Incomplete",
        "mmproj.gguf": "Projector",
        "mute": "FileMissing",
        "nothing": "Unsupported",
        "page.gguf": "NotGguf",
        "pickled": "Unsupported",
        "prefix": "Unsupported",
    }


@pytest.mark.parametrize(
    ("name", "patterns", "personal"),
    [
        ("toy.gguf", (), False),
        ("My-PERSONAL-toy.gguf", (), True),
        ("personal/toy.gguf", (), True),
        ("alice/toy.gguf", (), False),
        ("alice/toy.gguf", ("alice/*",), True),
        ("bob/toy.gguf", ("alice/*",), False),
    ],
)
def test_what_names_or_patterns_call_personal_is_personal(
    tmp_path: Path, name: str, patterns: tuple[str, ...], personal: bool
) -> None:
    root = tmp_path / "personal-root"  # above what is looked through, names say nothing
    (root / name).parent.mkdir(parents=True)
    toy_gguf.write(root / name)
    assert only(look(root, personal=patterns)).personal is personal


def test_an_owner_names_a_model_and_calls_it_personal_in_a_file_beside_it(tmp_path: Path) -> None:
    toy_gguf.write(tmp_path / "toy.gguf")
    (tmp_path / "toy.gguf.shimmy.json").write_text('{"name": "diary", "personal": true}')
    model = only(look(tmp_path))
    assert (model.name, model.personal) == ("diary", True)


@pytest.mark.parametrize("content", ["{", '{"name": "No Name"}', '{"persnal": true}', "[]"])
def test_a_file_beside_a_model_that_cannot_be_understood_is_told_and_hides_nothing(
    tmp_path: Path, content: str
) -> None:
    toy_gguf.write(tmp_path / "toy.gguf")
    (tmp_path / "toy.gguf.shimmy.json").write_text(content)
    report = look(tmp_path)
    assert [model.name for model in report.models] == ["toy"]
    assert reasons(report, tmp_path) == {"toy.gguf.shimmy.json": "SidecarInvalid"}


def test_models_that_would_share_a_name_get_different_ones_that_stay(tmp_path: Path) -> None:
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        toy_gguf.write(tmp_path / folder / "toy.gguf")
    claim = Claim("models", tmp_path)
    first = [model.name for model in look(tmp_path, claim=claim).models]
    assert first[0] == "toy"
    assert len(set(first)) == 3
    (tmp_path / "b" / "toy.gguf").unlink()
    assert [model.name for model in look(tmp_path, claim=claim).models] == [first[0], first[2]]


def test_sources_name_files_on_the_claim_where_it_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "llm").mkdir()
    toy_gguf.write(tmp_path / "llm" / "toy.gguf")
    assert only(look(tmp_path / "llm", claim=Claim("models", tmp_path))).source == "pvc://models/llm/toy.gguf"


@pytest.mark.parametrize("name", [b"my toy.gguf", b"\xff.gguf"])
def test_a_path_that_no_source_can_name_is_told_where_sources_are_asked_for(tmp_path: Path, name: bytes) -> None:
    path = toy_gguf.write(tmp_path / "toy.gguf")
    path.rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    assert len(look(tmp_path).models) == 1
    report = look(tmp_path, claim=Claim("models", tmp_path))
    assert [item.reason for item in report.skipped] == ["PathUnusable"]
    report.model_dump_json()


def test_a_model_that_fills_a_whole_claim_is_told(tmp_path: Path) -> None:
    hugging_face.save_model(tmp_path / "claim")
    report = look(tmp_path / "claim", claim=Claim("models", tmp_path / "claim"))
    assert [item.reason for item in report.skipped] == ["PathUnusable"]


def test_one_file_under_two_paths_is_one_model(tmp_path: Path) -> None:
    path = toy_gguf.write(tmp_path / "toy.gguf")
    (tmp_path / "link.gguf").symlink_to(path)
    (tmp_path / "zweitname.gguf").hardlink_to(path)
    assert len(look(tmp_path, tmp_path).models) == 1
