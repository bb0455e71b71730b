"""Base of every pydantic model of the API."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """A part of an object as Kubernetes stores it: camelCase on the wire, immutable in memory.

    Unknown fields are ignored when parsing: a newer API server may store fields that this version does not know,
    and the CRD's schema refuses users' typing errors before they get here.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )
