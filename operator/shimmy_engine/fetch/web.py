"""Models on web servers: http:// and https://."""

import logging

import httpx

from shimmy_api.sources import HttpSource
from shimmy_engine.fetch.client import is_loopback, public
from shimmy_engine.fetch.credentials import Credentials
from shimmy_engine.fetch.remote import Remote

log = logging.getLogger(__name__)


def find_on_web(source: HttpSource, credentials: Credentials) -> Remote:
    """The file at a URL.

    Raises:
        GgufError: CredentialsMissing.
    """
    auth = credentials.for_web()
    url = httpx.URL(source.url)
    if auth is not None and url.scheme == "http" and not is_loopback(url.host):
        log.warning("the credentials for %s are sent without encryption", url.host)
    return Remote(public(source.url), lambda: source.url, auth)
