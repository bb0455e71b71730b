"""Models and adapters of a few kilobytes, in each of the layouts that discovery knows."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save_file

BASE = "acme/tiny"


def hugging_face(folder: Path, **config: Any) -> Path:
    """A model of 35 weights, most of them in half precision."""
    folder.mkdir(parents=True)
    save_file({"a": np.zeros((8, 4), np.float16), "b": np.zeros(3, np.float32)}, folder / "model.safetensors")
    stated = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 2048, **config}
    (folder / "config.json").write_text(json.dumps(stated))
    return folder


def peft(folder: Path, base: str = BASE, **config: Any) -> Path:
    """A LoRA adapter of rank 4."""
    folder.mkdir(parents=True)
    weights = {"lora_A.weight": np.zeros((4, 8), np.float32), "lora_B.weight": np.zeros((8, 4), np.float32)}
    save_file(weights, folder / "adapter_model.safetensors")
    stated = {"base_model_name_or_path": base, "peft_type": "LORA", "r": 4, **config}
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    return folder


def gguf_adapter(path: Path, base: str = "Tiny", kind: str = "lora") -> Path:
    """A LoRA adapter of rank 4 as llama.cpp's convert_lora_to_gguf.py writes it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", kind)
    writer.add_float32("adapter.lora.alpha", 8.0)
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, base)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((4, 32), np.float32))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.zeros((32, 4), np.float32))
    _finish(writer)
    return path


def projector(path: Path) -> Path:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_tensor("v.patch_embd.weight", np.zeros((4, 4), np.float32))
    _finish(writer)
    return path


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
