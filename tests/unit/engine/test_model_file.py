import hashlib
from pathlib import Path
from typing import Any

import gguf
import pytest
from tests.fakes.shimmy import toy_gguf

from shimmy_engine.gguf_header import GgufError, GgufHeader, Tensor, read_header
from shimmy_engine.model_file import check_file, obstacle, quantization


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return toy_gguf.write(tmp_path / "toy.gguf")


def refused(path: Path, sha256: str | None = None) -> str:
    with pytest.raises(GgufError) as caught:
        check_file(path, sha256)
    return caught.value.reason


def header(toy: Path, types: dict[str, str], metadata: dict[str, Any]) -> GgufHeader:
    good = read_header(toy)
    named = {"token_embd.weight": "Q8_0"} | types
    tensors = tuple(Tensor(name, (32, 32), int(gguf.GGMLQuantizationType[kind]), 0) for name, kind in named.items())
    return GgufHeader(good.metadata | metadata, tensors, good.data_offset)


def test_a_good_file_is_described(toy: Path) -> None:
    digest = hashlib.sha256(toy.read_bytes()).hexdigest()
    assert check_file(toy, digest).as_report() == {
        "sha256": digest,
        "sizeBytes": toy.stat().st_size,
        "architecture": "llama",
        "quantization": "Q8_0",
        "contextLength": toy_gguf.CONTEXT,
        "parameters": 268 * 32,
        "lines": ["llama", "airframe"],
    }


def test_a_file_that_is_cut_is_truncated(toy: Path) -> None:
    content = toy.read_bytes()
    for size in (len(content) - 40, 1000, 0):
        toy.write_bytes(content[:size])
        assert refused(toy) == "Truncated"


def test_a_file_with_another_digest_is_refused(toy: Path) -> None:
    assert refused(toy, "0" * 64) == "ChecksumMismatch"


def test_a_file_of_another_kind_is_refused(toy: Path) -> None:
    toy.write_bytes(b"<html>not a model</html>")
    assert refused(toy) == "NotGguf"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert refused(tmp_path / "nothing.gguf") == "FileMissing"


@pytest.mark.parametrize(
    ("types", "metadata", "line", "part"),
    [
        ({"blk.0.attn_q.weight": "Q4_1"}, {}, "airframe", "blk.0.attn_q.weight is Q4_1"),
        ({"token_embd.weight": "F16"}, {}, "airframe", "token_embd.weight is F16"),
        ({"output.weight": "Q8_0", "token_embd.weight": "F16"}, {}, "airframe", ""),
        ({}, {"general.architecture": "gemma3"}, "airframe", "'gemma3' is not known"),
        ({}, {"tokenizer.ggml.model": "bert"}, "llama", "cannot be counted"),
        ({"blk.0.attn_q.weight": "Q4_1"}, {}, "llama", ""),
    ],
)
def test_what_a_line_cannot_serve_is_known_before_it_is_tried(
    toy: Path, types: dict[str, str], metadata: dict[str, Any], line: str, part: str
) -> None:
    reason = obstacle(header(toy, types, metadata), line)
    assert part in reason
    assert bool(part) == bool(reason)


def test_an_unknown_file_type_has_no_name(toy: Path) -> None:
    assert quantization(header(toy, {}, {"general.file_type": 9999})) == "unknown"
