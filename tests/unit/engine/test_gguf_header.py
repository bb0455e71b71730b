from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.shimmy import toy_gguf

from shimmy_engine.gguf_header import GgufError, parse_header, read_header


def reason(content: bytes) -> str:
    try:
        parse_header(content)
    except GgufError as error:
        return error.reason
    return ""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_gguf.write(tmp_path_factory.mktemp("toy") / "toy.gguf")


def test_a_header_tells_metadata_and_tensors(toy: Path) -> None:
    header = read_header(toy)
    assert header.architecture == "llama"
    assert header.context_length == toy_gguf.CONTEXT
    assert header.metadata["tokenizer.ggml.tokens"][1] == "<|im_start|>"
    assert header.metadata["tokenizer.ggml.add_bos_token"] is False
    assert [tensor.name for tensor in header.tensors] == ["token_embd.weight"]
    assert header.parameters == len(header.metadata["tokenizer.ggml.tokens"]) * 32
    assert header.data_offset % 32 == 0


@given(st.binary(max_size=200))
def test_any_bytes_give_a_header_or_a_reason(content: bytes) -> None:
    for start in (b"", b"GGUF\x03\0\0\0"):
        assert reason(start + content) in ("", "NotGguf", "Truncated")


@given(st.data())
def test_a_damaged_header_gives_a_header_or_a_reason(toy: Path, data: st.DataObject) -> None:
    content = bytearray(toy.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, 400))] = data.draw(st.integers(0, 255))
    assert reason(bytes(content)) in ("", "NotGguf", "Truncated")


@given(st.integers(0, 10_000))
def test_a_header_that_is_cut_is_truncated(toy: Path, size: int) -> None:
    header = read_header(toy)
    content = toy.read_bytes()[: min(size, header.data_offset - 64)]
    with pytest.raises(GgufError) as caught:
        parse_header(content)
    assert caught.value.reason == ("NotGguf" if len(content) < 4 else "Truncated")


@pytest.mark.parametrize("name", ["missing.gguf", "."])
def test_a_missing_file_has_a_reason(tmp_path: Path, name: str) -> None:
    with pytest.raises(GgufError) as caught:
        read_header(tmp_path / name)
    assert caught.value.reason == "FileMissing"


def test_an_empty_file_is_truncated(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(GgufError) as caught:
        read_header(tmp_path / "empty")
    assert caught.value.reason == "Truncated"
