"""The HTTP client that all sources are reached with: proxies and certificate authorities hold for each of them."""

import contextlib
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import httpx

from shimmy_engine.fetch.retries import PassingError, Retries, check_status, network_error
from shimmy_engine.gguf_header import GgufError

_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0, read=60.0)
"""Seconds for a connection, and of silence."""
_REDIRECTS: Final = 5


def make_client(ca_file: Path | None = None) -> httpx.Client:
    """A client that follows HTTPS_PROXY, HTTP_PROXY, NO_PROXY and SSL_CERT_FILE, and trusts `ca_file` too.

    Raises:
        GgufError: CertificatesInvalid, one of the files holds no certificates.
    """
    try:
        verify = httpx.create_ssl_context()
        if ca_file is not None:
            verify.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is one
        message = f"{ca_file or 'SSL_CERT_FILE'} cannot be used as certificates: {error}"
        raise GgufError("CertificatesInvalid", message) from error
    return httpx.Client(follow_redirects=True, max_redirects=_REDIRECTS, timeout=_TIMEOUT, verify=verify)


def public(url: str) -> str:
    """A URL without what may be secret."""
    parsed = httpx.URL(url)
    return str(parsed.copy_with(username=None, password=None, query=None, fragment=None))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def get_json(
    client: httpx.Client, url: str, place: str, auth: httpx.Auth | None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """A small answer, whose JSON object the caller reads; `place` names it without secrets.

    Raises:
        GgufError: AccessDenied, SourceMissing, SourceUntrusted or SourceUnreachable.
    """
    retries = Retries()
    while True:
        try:
            response = client.get(url, auth=auth or httpx.USE_CLIENT_DEFAULT, headers=headers)
            check_status(response, place, httpx.codes.OK)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = network_error(error, place)
            if isinstance(failure, GgufError):
                raise failure from error
            retries.failed(failure, advanced=False)
        except PassingError as error:
            retries.failed(error, advanced=False)
        else:
            return response
