"""Kubernetes quantities: their amounts, and whether two are equal.

The API server rewrites quantities in built-in kinds: 1024Mi is stored as 1Gi.
Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import Decimal
from typing import Final

_FORM: Final = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([numkKMGTPE]?i?))$")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def same_quantity(one: str, other: str) -> bool:
    """Whether two quantities mean the same amount."""
    return one == other or (amount(one) is not None and amount(one) == amount(other))


def amount(text: str) -> Decimal | None:
    """The number that a quantity means; None if it is none."""
    match = _FORM.match(text)
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    if exponent:
        return Decimal(number + exponent)
    if suffix in _BINARY:
        return Decimal(number) * Decimal(1 << 10 * _BINARY[suffix])
    power = _DECIMAL.get(suffix or "")
    return None if power is None else Decimal(number).scaleb(power)
