"""What an owner says of a model, in a file `<MODEL>.shimmy.json` beside the model's file or folder."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import ConfigDict, Field, ValidationError

from shimmy_api.base import ApiModel
from shimmy_api.discovery import Skipped, skipped
from shimmy_api.fields import DnsLabel
from shimmy_engine.discovery.walk import shown

SUFFIX: Final = ".shimmy.json"
_LONGEST: Final = 64 << 10


class Sidecar(ApiModel):
    """The content. A key that is not known is a mistake, and is told."""

    model_config = ConfigDict(extra="forbid")

    name: DnsLabel | None = None
    """Name of the ShimmyModel."""
    personal: bool | None = None
    """Whether the model is somebody's own."""
    base: Annotated[str | None, Field(max_length=512)] = None
    """The model that an adapter is for, where its own word for it does not lead to one."""


def read_sidecar(path: Path) -> tuple[Sidecar, Skipped | None]:
    """What the owner of the model at `path` says; with a complaint, if that cannot be understood."""
    place = path.with_name(path.name + SUFFIX)
    try:
        if not place.is_file():
            return Sidecar(), None
        with place.open("rb") as file:
            return Sidecar.model_validate_json(file.read(_LONGEST)), None
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
    return Sidecar(), skipped(shown(place), "SidecarInvalid", f"{message}; the model is listed without it")
