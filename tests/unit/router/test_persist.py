from pathlib import Path

import pytest
from tests.unit.router.test_delta import snapshot

from shimmy_router import persist


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    saved = snapshot("m", "n")
    persist.save(saved, path)
    loaded = persist.load(path)
    assert loaded
    assert loaded.version == saved.version
    assert path.stat().st_mode & 0o777 == 0o600


def test_there_is_nothing_to_load_at_first(tmp_path: Path) -> None:
    assert persist.load(tmp_path / "snapshot") is None


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_a_damaged_snapshot_is_not_used(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "snapshot"
    persist.save(snapshot("m"), path)
    path.write_bytes(path.read_bytes()[:keep])
    assert persist.load(path) is None


def test_a_snapshot_that_cannot_be_saved_stops_nothing(tmp_path: Path) -> None:
    persist.save(snapshot("m"), tmp_path / "absent" / "snapshot")
