"""Which release of the project this is."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def release() -> str:
    """Its version, or 0.0.0 in a checkout that is not installed."""
    try:
        return version("shimmy-operator")
    except PackageNotFoundError:
        return "0.0.0"
