"""Conversion: what is merged and written, and what is refused by name. tests/convert compares with transformers."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.unit.engine import hugging_face as hf

from shimmy_engine.convert import weights as weights_module
from shimmy_engine.convert.lora import convert_lora
from shimmy_engine.convert.model import convert_model
from shimmy_engine.gguf_header import GgufError, read_header
from shimmy_engine.lora_file import check_lora, report_pair
from shimmy_engine.model_file import check_file, obstacle
from shimmy_engine.quirks import release_of
from shimmy_engine.served import Engine, prepare
from shimmy_engine.settings import Limits, ModelSettings


def tensors_of(path: Path) -> dict[str, Any]:
    """Tensors as 32-bit floats."""
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors
    }


def neighbours(values: Any, heads: int) -> Any:
    """Rows (head, half, i) moved to (head, i, half), one by one."""
    size = values.shape[0] // heads
    order = [head * size + half * size // 2 + i for head in range(heads) for i in range(size // 2) for half in (0, 1)]
    return values[order]


def test_an_adapter_is_added_in_32_bits_and_heads_are_interleaved(tmp_path: Path) -> None:
    model, adapter = hf.save_model(tmp_path / "model"), hf.save_adapter(tmp_path / "adapter")
    convert_model(model, tmp_path / "m.gguf", adapter=adapter, quantization="F32")
    base = hf.weights()[f"{hf.QUERY}.weight"].astype(np.float32)
    a, b = hf.pair(hf.QUERY, hf.HIDDEN, hf.HIDDEN).values()
    found = tensors_of(tmp_path / "m.gguf")["blk.0.attn_q.weight"]
    np.testing.assert_allclose(found, neighbours(base + 2 * b @ a, hf.HEADS), rtol=1e-6, atol=1e-6)


def test_a_rank_stabilized_adapter_is_divided_by_the_root_of_its_rank(tmp_path: Path) -> None:
    model, adapter = hf.save_model(tmp_path / "model"), hf.save_adapter(tmp_path / "adapter", use_rslora=True)
    convert_model(model, tmp_path / "m.gguf", adapter=adapter, quantization="F32")
    base = hf.weights()[f"{hf.QUERY}.weight"].astype(np.float32)
    a, b = hf.pair(hf.QUERY, hf.HIDDEN, hf.HIDDEN).values()
    found = tensors_of(tmp_path / "m.gguf")["blk.0.attn_q.weight"]
    np.testing.assert_allclose(found, neighbours(base + 4 / np.sqrt(2) * b @ a, hf.HEADS), rtol=1e-5, atol=1e-5)


def test_the_size_of_the_parts_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, adapter = hf.save_model(tmp_path / "model"), hf.save_adapter(tmp_path / "adapter")
    whole = convert_model(model, tmp_path / "whole.gguf", adapter=adapter)
    monkeypatch.setattr(weights_module, "CHUNK_VALUES", 5 * hf.HIDDEN)  # less than a head, and no divisor of the rows
    parts = convert_model(model, tmp_path / "parts.gguf", adapter=adapter)
    assert parts.sha256 == whole.sha256


def test_a_converted_model_can_be_served_by_both_lines(tmp_path: Path) -> None:
    found = convert_model(hf.save_model(tmp_path / "model"), tmp_path / "m.gguf").as_report()
    assert found["lines"] == ["llama", "airframe"]
    assert (found["architecture"], found["quantization"], found["contextLength"]) == ("llama", "Q8_0", 128)


@pytest.mark.parametrize("quantization", ["Q8_0", "Q5_0", "Q4_0", "F16", "F32"])
def test_every_type_suits_both_lines_with_a_tied_head_too(tmp_path: Path, quantization: Any) -> None:
    model = hf.save_model(tmp_path / "model", tie_word_embeddings=True)
    found = convert_model(model, tmp_path / "m.gguf", quantization=quantization)
    assert found.as_report()["lines"] == ["llama", "airframe"]
    assert "output.weight" not in {tensor.name for tensor in found.header.tensors}


def test_stretched_positions_are_for_the_llama_line_alone(tmp_path: Path) -> None:
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    found = convert_model(hf.save_model(tmp_path / "model", rope_scaling=scaling), tmp_path / "m.gguf")
    assert found.as_report()["lines"] == ["llama"]
    assert "ignores rope scaling" in obstacle(found.header, "airframe")


def test_a_sliding_window_bounds_the_context(tmp_path: Path) -> None:
    model = hf.save_model(tmp_path / "model", model_type="mistral", sliding_window=96)
    assert convert_model(model, tmp_path / "m.gguf").header.context_length == 96


def test_one_file_with_its_config_beside_it_is_enough(tmp_path: Path) -> None:
    folder = hf.save_model(tmp_path / "model")
    one = convert_model(folder / "model.safetensors", tmp_path / "one.gguf")
    assert one.sha256 == convert_model(folder, tmp_path / "folder.gguf").sha256


def test_several_files_are_read_by_their_index(tmp_path: Path) -> None:
    folder, tensors = hf.save_model(tmp_path / "model"), hf.weights()
    whole = convert_model(folder, tmp_path / "whole.gguf")
    (folder / "model.safetensors").unlink()
    files = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(tensors)}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in tensors if files[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    assert convert_model(folder, tmp_path / "parts.gguf").sha256 == whole.sha256
    (folder / "part-1.safetensors").unlink()
    refused(folder, tmp_path, "FileMissing", "names part-1.safetensors")


def refused(model: Path, tmp_path: Path, reason: str, match: str, adapter: Path | None = None) -> None:
    """The conversion fails and leaves nothing behind."""
    folder = tmp_path / "out"
    with pytest.raises(GgufError, match=match) as caught:
        convert_model(model, folder / "m.gguf", adapter=adapter)
    assert caught.value.reason == reason
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"model_type": "gpt_oss"}, "'gpt_oss' cannot be converted; known are llama"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "no model that generates text"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config .*gptq"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"num_local_experts": 8}, "num_local_experts 8"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2}}, "rope scaling 'longrope'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2, "attention_factor": 3}}, "attention_factor of YaRN"),
        ({"rope_scaling": {"rope_type": "linear"}}, "'linear' is incomplete"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "not the same for all layers"),
        ({"model_type": "qwen3", "attention_bias": True}, "attention_bias is not supported for qwen3"),
        ({"hidden_size": "64"}, "hidden_size is '64'"),
        ({"vocab_size": 100}, "a token 259, but the embedding has 100 rows"),
        ({"intermediate_size": 128}, "has the shape"),
        ({"attention_bias": True}, "lack what is called blk.0.attn_q.bias"),
        ({"num_hidden_layers": 2}, "lack what is called blk.1"),
    ],
)
def test_what_a_config_asks_for_and_is_not_done_is_named(tmp_path: Path, changed: dict[str, Any], match: str) -> None:
    reason = "Truncated" if "lack" in match else "Unsupported"
    refused(hf.save_model(tmp_path / "model", **changed), tmp_path, reason, match)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"peft_type": "IA3"}, "'IA3' are not supported"),
        ({"use_dora": True}, "use_dora True"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias 'all'"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa'"),
        ({"layer_replication": [[0, 1]]}, "layer_replication"),
        ({"invented_in_2027": 1}, "invented_in_2027"),
        ({"r": 8}, "has rank 2, its configuration says 8"),
        ({"lora_alpha": None}, "no usable r or lora_alpha"),
    ],
)
def test_what_an_adapter_asks_for_and_is_not_done_is_named(tmp_path: Path, changed: dict[str, Any], match: str) -> None:
    adapter = hf.save_adapter(tmp_path / "adapter", **changed)
    refused(hf.save_model(tmp_path / "model"), tmp_path, "Unsupported", match, adapter)


@pytest.mark.parametrize(
    ("tensors", "reason", "match"),
    [
        (
            hf.pair("model.layers.7.self_attn.q_proj", 64, 64),
            "AdapterMismatch",
            "model.layers.7.self_attn.q_proj, which",
        ),
        (hf.pair(hf.QUERY, 32, 64), "AdapterMismatch", "64 x 32 weights, the model's has 64 x 64"),
        (
            {"base_model.model.lm_head.weight": np.ones((2, 2), np.float32)},
            "Unsupported",
            "no matrix of a LoRA pair",
        ),
        (dict(list(hf.pair(hf.QUERY, 64, 64).items())[:1]), "Unsupported", "only one of the two matrices"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    tmp_path: Path, tensors: dict[str, Any], reason: str, match: str
) -> None:
    adapter = hf.save_adapter(tmp_path / "adapter", tensors)
    refused(hf.save_model(tmp_path / "model"), tmp_path, reason, match, adapter)


@pytest.mark.parametrize(
    ("part", "value", "match"),
    [
        ("pre_tokenizer", {"type": "Metaspace"}, "cannot split text as it does .Metaspace"),
        ("normalizer", {"type": "Lowercase"}, "normalizer 'Lowercase'"),
        ("model", {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 0}, "type 'Unigram'"),
    ],
)
def test_a_vocabulary_that_engines_would_read_in_another_way_is_refused(
    tmp_path: Path, part: str, value: dict[str, Any], match: str
) -> None:
    folder = hf.save_model(tmp_path / "model")
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(content | {part: value}))
    refused(folder, tmp_path, "Unsupported", match)


@pytest.mark.parametrize(
    ("file", "reason", "match"),
    [
        ("config.json", "FileMissing", "no config.json"),
        ("tokenizer.json", "FileMissing", "no tokenizer.json"),
        ("model.safetensors", "FileMissing", "neither model.safetensors nor"),
        ("tokenizer_config.json", "Unsupported", "which token ends an answer"),
    ],
)
def test_what_a_folder_lacks_is_named(tmp_path: Path, file: str, reason: str, match: str) -> None:
    folder = hf.save_model(tmp_path / "model")
    (folder / file).unlink()
    refused(folder, tmp_path, reason, match)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = hf.save_model(tmp_path / "model")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    refused(folder, tmp_path, "NotSafetensors", "damaged")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    tensors = hf.weights()
    tensors[f"{hf.QUERY}.weight"][3, 3] = np.nan
    refused(hf.save_model(tmp_path / "model", tensors), tmp_path, "Unsupported", "no finite numbers")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = hf.save_model(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, tmp_path, "Unsupported", "pickle files")


def test_a_failed_conversion_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"precious")
    tensors = hf.weights()
    tensors["lm_head.weight"][0, 0] = np.inf
    with pytest.raises(GgufError, match="no finite numbers"):
        convert_model(hf.save_model(tmp_path / "model", tensors), tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_bytes() == b"precious"
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    convert_model(hf.save_model(tmp_path / "model"), tmp_path / "base.gguf")
    return tmp_path / "base.gguf"


def test_a_gguf_adapter_has_the_same_effect_as_a_merged_one(tmp_path: Path, base: Path) -> None:
    adapter = hf.save_adapter(tmp_path / "adapter", use_rslora=True)
    found = convert_lora(adapter, tmp_path / "lora.gguf", base=base)
    assert (found.architecture, found.rank, found.modules) == ("llama", 2, 1)
    header, tensors = read_header(tmp_path / "lora.gguf"), tensors_of(tmp_path / "lora.gguf")
    scale = header.metadata["adapter.lora.alpha"] / 2  # as llama.cpp multiplies
    ours = scale * tensors["blk.0.attn_q.weight.lora_b"] @ tensors["blk.0.attn_q.weight.lora_a"]
    a, b = hf.pair(hf.QUERY, hf.HIDDEN, hf.HIDDEN).values()
    np.testing.assert_allclose(ours, neighbours(4 / np.sqrt(2) * b @ a, hf.HEADS), rtol=1e-5, atol=1e-5)


def test_a_gguf_adapter_is_checked_against_its_base(tmp_path: Path, base: Path) -> None:
    convert_lora(hf.save_adapter(tmp_path / "adapter"), tmp_path / "lora.gguf", base=base)
    other = convert_model(
        hf.save_model(tmp_path / "other", wider(), num_attention_heads=2, num_key_value_heads=1, head_dim=64),
        tmp_path / "other.gguf",
    )
    with pytest.raises(GgufError, match=r"64 x 64 weights, the model's has 64 x 128") as caught:
        check_lora(tmp_path / "lora.gguf", other.header, None)
    assert caught.value.reason == "AdapterMismatch"
    with pytest.raises(GgufError, match="is no LoRA adapter"):
        check_lora(base, other.header, None)
    with pytest.raises(GgufError, match="SHA-256"):
        check_lora(tmp_path / "lora.gguf", read_header(base), "0" * 64)


def test_a_pair_is_reported_for_the_line_that_adds_adapters(tmp_path: Path, base: Path) -> None:
    made = convert_lora(hf.save_adapter(tmp_path / "adapter"), tmp_path / "lora.gguf", base=base)
    found = report_pair(check_file(base, None), made)
    assert found["lines"] == ["llama"]
    assert (found["lora"]["rank"], found["lora"]["sha256"]) == (2, made.sha256)


def test_an_adapter_that_does_not_fit_is_refused_before_anything_starts(tmp_path: Path, base: Path) -> None:
    settings = ModelSettings("m", base, lora_file=base)
    engine = Engine(release_of("1.8.1"), tmp_path, Path("/bin/false"), require_gpu=False)
    with pytest.raises(GgufError, match="is no LoRA adapter"):
        prepare(settings, engine, Limits())


def wider() -> dict[str, Any]:
    """Weights of a model with two heads of 64."""
    tensors = hf.weights()
    random = np.random.default_rng(1)
    tensors[f"{hf.QUERY}.weight"] = random.standard_normal((128, hf.HIDDEN)).astype(np.float16)
    tensors[f"{hf.LAYER}.self_attn.o_proj.weight"] = random.standard_normal((hf.HIDDEN, 128)).astype(np.float16)
    for name in ("k_proj", "v_proj"):
        key = f"{hf.LAYER}.self_attn.{name}.weight"
        tensors[key] = random.standard_normal((64, hf.HIDDEN)).astype(np.float16)
    return tensors


def test_a_gguf_adapter_for_a_module_that_the_base_lacks_is_refused(tmp_path: Path, base: Path) -> None:
    adapter = hf.save_adapter(tmp_path / "adapter", hf.pair(f"{hf.LAYER}.mlp.experts", 64, 64))
    with pytest.raises(GgufError, match=r"mlp\.experts, which the model does not have"):
        convert_lora(adapter, tmp_path / "lora.gguf", base=base)
    assert not (tmp_path / "lora.gguf").exists()
