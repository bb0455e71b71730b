"""What clients lose when pods, agents and Envoys die or are replaced; `hack/bench faults` does it a hundred times."""

from pathlib import Path

import pytest

from devkit.bench.faults.command import measure
from devkit.bench.faults.kinds import KINDS

TIMES = 3


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_died_loses_requests(kind: str, tmp_path: Path) -> None:
    result = measure(kind, TIMES, tmp_path)
    found = result.count
    assert found.requests > 0
    assert found.retrying > 0
    assert (found.failed, found.spared, found.retrying_failed) == (0, 0, 0), result.failures
