"""The server's side of TLS: its certificate and the authority of client certificates, both of which change.

A new handshake uses what is there then; connections that are open stay as they are. A client certificate is asked for
and not required, for probes and routers have none, but one of another authority ends the handshake. Sessions are not
resumed: that would take over the judgement of a client certificate from before a change.
"""

import ssl
from pathlib import Path

_CERTIFICATE = "tls.crt"
_KEY = "tls.key"


class ServerTls:
    """Settings that follow a folder with tls.crt and tls.key, as a Secret of type kubernetes.io/tls is mounted.

    Attributes:
        context: what a server listens with.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = ""
        self._seen: tuple[bytes, bytes, str] | None = None
        self._current = self.context = _context()
        self.context.sni_callback = self._choose
        self.refresh()

    def refresh(self, authority: str | None = None) -> bool:
        """Take what is there now, and an authority (PEM) if one is given. Whether anything has changed.

        Raises:
            OSError: the files cannot be read, or are no pair (ssl.SSLError); what was there before stays in use.
            ValueError: the authority is no text of a certificate; likewise.
        """
        wanted = self._authority if authority is None else authority
        seen = ((self._folder / _CERTIFICATE).read_bytes(), (self._folder / _KEY).read_bytes(), wanted)
        if seen == self._seen:
            return False
        made = _context()
        made.load_cert_chain(self._folder / _CERTIFICATE, self._folder / _KEY)
        if wanted:
            made.load_verify_locations(cadata=wanted)
        self._current, self._seen, self._authority = made, seen, wanted
        return True

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in every handshake, also in those that name no server."""
        connection.context = self._current


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    return context
