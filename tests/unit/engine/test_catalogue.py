from pathlib import Path

import pytest

from shimmy_engine.catalogue import CatalogueError, read_catalogue


def test_models_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text('{"models": [{"name": "b", "file": "/b.gguf", "context": 64}, {"name": "a", "file": "/a.gguf"}]}')
    models = read_catalogue(file)
    assert list(models) == ["b", "a"]
    assert (models["b"].file, models["b"].context, models["a"].lora_file) == (Path("/b.gguf"), 64, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"models": []}',
        '{"models": [{"name": "a"}]}',
        '{"models": [{"name": "a", "file": "/a", "x": 1}]}',
        '{"models": [{"name": "a", "file": "/a"}, {"name": "a", "file": "/b"}]}',
    ],
)
def test_what_is_no_catalogue_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "models.json"
    file.write_text(text)
    with pytest.raises(CatalogueError, match=r"models\.json"):
        read_catalogue(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="No such file"):
        read_catalogue(tmp_path / "none.json")
