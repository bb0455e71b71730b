"""Headers of safetensors files, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from shimmy_engine.discovery.tensors import read_weights
from shimmy_engine.gguf_header import GgufError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tensors") / "tiny.safetensors"
    save_file({"a": np.zeros((8, 4), np.float16), "b": np.zeros(3, np.float32)}, path)
    return path


def reason(path: Path) -> str:
    try:
        read_weights([path])
    except GgufError as error:
        return error.reason
    return ""


def test_weights_are_counted_and_the_type_of_most_is_told(whole: Path) -> None:
    weights = read_weights([whole, whole])
    assert (weights.parameters, weights.dtype, weights.size_bytes) == (70, "F16", 2 * whole.stat().st_size)


def test_a_model_without_files_has_no_weights() -> None:
    assert read_weights([]).parameters == 0


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_weights_or_a_reason(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert reason(damaged) in ("", "NotSafetensors")
