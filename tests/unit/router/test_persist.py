import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.router.test_delta import snapshot

from devkit.waiting import until
from shimmy_router import persist
from shimmy_router.publisher import Publisher
from shimmy_router.xds.resources import SCOPE, TYPES, Resource, Snapshot


def write(saved: Snapshot, path: Path) -> None:
    resources = [resource for type_url in TYPES for resource in saved.resources[type_url].values()]
    persist.save(resources, saved.version, path)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    saved = snapshot("m", "n")
    write(saved, path)
    loaded = persist.load(path)
    assert loaded
    assert loaded.version == saved.version
    assert path.stat().st_mode & 0o777 == 0o600


def test_there_is_nothing_to_load_at_first(tmp_path: Path) -> None:
    assert persist.load(tmp_path / "snapshot") is None


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_a_damaged_snapshot_is_not_used(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "snapshot"
    write(snapshot("m"), path)
    path.write_bytes(path.read_bytes()[:keep])
    assert persist.load(path) is None


def test_a_snapshot_that_cannot_be_saved_stops_nothing(tmp_path: Path) -> None:
    write(snapshot("m"), tmp_path / "absent" / "snapshot")


@given(st.integers(min_value=0, max_value=253_402_300_799_999_999))
def test_the_time_at_which_a_resource_ends_is_kept_to_the_millisecond(microseconds: int) -> None:
    moment = microseconds / 1e6
    (resource, *_) = snapshot("m").resources[SCOPE].values()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "snapshot")
        write(Snapshot([Resource.from_body(resource.name, resource.body, moment)]), path)
        loaded = persist.load(path)
    assert loaded
    assert abs((loaded.next_end() or 0) - moment) <= 0.001


async def test_changes_are_saved_soon_but_not_each_and_the_last_one_at_the_end(tmp_path: Path) -> None:
    path, publisher = tmp_path / "snapshot", Publisher()
    keeper = asyncio.create_task(persist.Keeper(publisher, path).run())
    publisher.publish(publisher.snapshot.towards(snapshot("m")), 0)
    first = publisher.snapshot.version
    await asyncio.to_thread(until, path.exists, "the first save", seconds=20)
    publisher.publish(publisher.snapshot.towards(snapshot("m", "n")), 0)
    await asyncio.sleep(0)
    assert _version(path) == first
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert _version(path) == publisher.snapshot.version


def _version(path: Path) -> str:
    loaded = persist.load(path)
    return loaded.version if loaded else ""
