"""GGUF files of a few kilobytes that are no models; hugging_face.py has the folders."""

from pathlib import Path

import gguf
import numpy as np


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
