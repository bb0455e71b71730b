"""Walking folders, whatever lies in them."""

from pathlib import Path

import pytest

from shimmy_engine.discovery.walk import walk


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def files(root: Path, **limits: int) -> list[str]:
    seen = walk(root, **limits)
    return [str((folder.path / name).relative_to(root)) for folder in seen.folders for name in folder.files]


def test_files_are_found_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b/two", "a/deep/one", "top"):
        touched(tmp_path / name)
    assert files(tmp_path) == ["top", "a/deep/one", "b/two"]


def test_hidden_entries_and_the_file_systems_own_are_left_out(tmp_path: Path) -> None:
    for name in (".git/a", ".hidden", "lost+found/b", "seen"):
        touched(tmp_path / name)
    assert files(tmp_path) == ["seen"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touched(tmp_path / "a" / "file")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    seen = walk(tmp_path)
    assert [folder.path.name for folder in seen.folders] == [tmp_path.name, "a"]


def test_a_link_is_followed_inside_and_told_where_it_leads_outside_or_nowhere(tmp_path: Path) -> None:
    root = tmp_path / "root"
    touched(root / "store" / "blob")
    touched(tmp_path / "secret")
    (root / "inside").symlink_to(root / "store" / "blob")
    (root / "outside").symlink_to(tmp_path / "secret")
    (root / "nowhere").symlink_to(root / "gone")
    seen = walk(root)
    assert files(root) == ["inside", "store/blob"]
    assert {Path(item.path).name: item.reason for item in seen.skipped} == {
        "nowhere": "LeadsNowhere",
        "outside": "LeadsOutside",
    }
    assert seen.complete


def test_what_lies_too_deep_is_told(tmp_path: Path) -> None:
    touched(tmp_path / "a" / "b" / "c" / "file")
    seen = walk(tmp_path, max_depth=2)
    assert not seen.complete
    assert [(Path(item.path).name, item.reason) for item in seen.skipped] == [("c", "TooDeep")]


def test_what_is_too_much_is_told(tmp_path: Path) -> None:
    for number in range(4):
        touched(tmp_path / "many" / str(number))
    seen = walk(tmp_path, max_entries=3)
    assert not seen.complete
    assert [item.reason for item in seen.skipped] == ["TooMany"]


def test_a_folder_that_cannot_be_read_is_told_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched(tmp_path / "closed" / "file")
    touched(tmp_path / "open" / "file")
    real = Path.iterdir

    def refuse(self: Path) -> object:  # the user of these tests may be root, who may read everything
        if self.name == "closed":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self)

    monkeypatch.setattr(Path, "iterdir", refuse)
    seen = walk(tmp_path)
    assert [folder.path.name for folder in seen.folders] == [tmp_path.name, "open"]
    assert [(item.reason, seen.complete) for item in seen.skipped] == [("Unreadable", False)]


def test_a_root_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        walk(tmp_path / "missing")
    with pytest.raises(NotADirectoryError):
        walk(touched(tmp_path / "file"))
