"""The models that a slot may load, as the operator writes them down for it."""

from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.main import BaseModel

from shimmy_engine.settings import ModelSettings
from shimmy_engine.templates import Family


class CatalogueError(Exception):
    """The file is no catalogue; the message says what is wrong with it."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    name: str = Field(min_length=1)
    file: Path
    context: int | None = Field(default=None, ge=1)
    template: Family | None = None
    lora_file: Path | None = None


class _Catalogue(BaseModel):
    model_config = ConfigDict(extra="forbid")

    models: tuple[_Entry, ...] = Field(min_length=1)


def read_catalogue(path: Path) -> dict[str, ModelSettings]:
    """Read {"models": [{"name", "file", "context", "template", "loraFile"}]}; the order is kept.

    Raises:
        CatalogueError: the file cannot be read, or is none.
    """
    try:
        entries = _Catalogue.model_validate_json(path.read_bytes()).models
    except OSError as error:
        raise CatalogueError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise CatalogueError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    models = {entry.name: ModelSettings(**dict(entry)) for entry in entries}
    if len(models) != len(entries):
        raise CatalogueError(f"{path}: a model is named twice")
    return models
