"""The metrics server's certificate: when it is renewed, and what its Secret then holds. Pure.

Each certificate has an authority of its own, whose key nobody keeps: what is in the Secret can sign nothing. The next
certificate is made, and its authority trusted, some time before servers show it, for the kubelet brings a Secret to its
readers at different times.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
AUTHORITIES: Final = "ca.crt"
"""What a client trusts: first the authority of tls.crt, then the one before or after it."""
_NEXT: Final = "next."
"""Before the names of the same entries of the certificate that comes next."""
ENTRIES: Final = frozenset(prefix + key for prefix in ("", _NEXT) for key in (CERTIFICATE, KEY, AUTHORITIES))
_PARTS: Final = 3
"""When the last of so many parts of its time begins, the next one is made."""
_OVERLAP: Final = timedelta(hours=1)
"""From then until it is shown. A kubelet takes about two minutes at most to bring a changed Secret."""

Data = Mapping[str, bytes]
"""Of a Secret."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, its key and its authority, PEM."""

    certificate: bytes
    key: bytes
    authority: bytes

    def serves(self, hosts: Set[str], now: datetime) -> bool:
        """Whether a client that trusts the authority and asks for any of the hosts would believe it now."""
        try:
            shown = x509.load_pem_x509_certificate(self.certificate)
            shown.verify_directly_issued_by(x509.load_pem_x509_certificate(self.authority))
            key = load_pem_private_key(self.key, password=None)
        except (ValueError, TypeError, InvalidSignature):
            return False
        known = shown.not_valid_before_utc <= now < shown.not_valid_after_utc
        return known and _hosts(shown) == hosts and key.public_key() == shown.public_key()

    def since(self) -> datetime:
        """When it was made."""
        return x509.load_pem_x509_certificate(self.certificate).not_valid_before_utc

    def old(self, now: datetime) -> bool:
        """Whether it is time for the next one."""
        shown = x509.load_pem_x509_certificate(self.certificate)
        whole = shown.not_valid_after_utc - shown.not_valid_before_utc
        return shown.not_valid_after_utc - now < whole / _PARTS


def renewed(data: Data, hosts: Set[str], now: datetime, issue: Callable[[], Issued]) -> dict[str, bytes]:
    """What the Secret is to hold of ENTRIES: the same if nothing has to change."""
    current, coming = _current(data), _coming(data)
    if current is None or not current.serves(hosts, now):
        fresh = issue()
        return _entries(fresh, current.authority if current else b"")
    if coming is not None and coming.serves(hosts, now):
        if now - coming.since() >= _OVERLAP:
            return _entries(coming, current.authority)
        return _entries(current, coming.authority) | _entries(coming, prefix=_NEXT)
    if current.old(now):
        coming = issue()
        return _entries(current, coming.authority) | _entries(coming, prefix=_NEXT)
    return {key: data[key] for key in (CERTIFICATE, KEY, AUTHORITIES)}


def _entries(issued: Issued, other: bytes = b"", prefix: str = "") -> dict[str, bytes]:
    found = {CERTIFICATE: issued.certificate, KEY: issued.key, AUTHORITIES: issued.authority + other}
    return {prefix + key: value for key, value in found.items()}


def _current(data: Data) -> Issued | None:
    try:
        first = x509.load_pem_x509_certificates(data.get(AUTHORITIES, b""))[0]
    except ValueError:
        return None
    return Issued(data.get(CERTIFICATE, b""), data.get(KEY, b""), first.public_bytes(Encoding.PEM))


def _coming(data: Data) -> Issued | None:
    found = [data.get(_NEXT + key, b"") for key in (CERTIFICATE, KEY, AUTHORITIES)]
    return Issued(*found) if all(found) else None


def _hosts(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(names.get_values_for_type(x509.DNSName))
