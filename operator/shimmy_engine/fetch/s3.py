"""Models in S3 and in stores that speak its API.

Each request gets a URL that obstore signs (no network needed), so that an object is fetched like any other file: in
ranges, with proxies, certificate authorities and retries as everywhere.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from shimmy_api.sources import S3Source
from shimmy_engine.fetch.credentials import AccessKey, Credentials
from shimmy_engine.fetch.remote import Remote
from shimmy_engine.gguf_header import GgufError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential  # exist for type checkers only

_REGION: Final = "us-east-1"
_VALID: Final = timedelta(hours=1)
"""A request must begin within this time; a transfer may take longer."""


def find_in_s3(source: S3Source, credentials: Credentials, environment: Mapping[str, str] = os.environ) -> Remote:
    """The object of a source.

    Endpoint and region come from the source, else from AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION and
    AWS_DEFAULT_REGION, else from the chosen profile. Without a key the request is anonymous.

    Raises:
        GgufError: CredentialsMissing, or SourceUnreachable where no address can be made.
    """
    key = credentials.for_s3()
    endpoint, region = _where(source, environment, credentials.aws_profile("AWS_CONFIG_FILE", "config"))
    place = f"s3://{source.bucket}/{source.key} at {endpoint}"
    if key is None:
        base = httpx.URL(endpoint)
        url = str(base.copy_with(path=f"{base.path.rstrip('/')}/{source.bucket}/{source.key}"))
        return Remote(place, lambda: url)
    try:
        store = _store(source.bucket, endpoint, region, key)
        obstore.sign(store, "GET", source.key, _VALID)
    except (BaseError, ValueError) as error:
        raise GgufError("SourceUnreachable", f"{place} makes no address: {type(error).__name__}") from error
    return Remote(place, lambda: obstore.sign(store, "GET", source.key, _VALID))


def _store(bucket: str, endpoint: str, region: str, key: AccessKey) -> S3Store:
    """A store that takes nothing from AWS's variables, which obstore reads by itself and puts before `endpoint`."""
    config: Any = {
        "aws_endpoint_url_s3": endpoint,
        "region": region,
        "virtual_hosted_style_request": False,
        "skip_signature": False,
    }
    credential: S3Credential = {
        "access_key_id": key.key_id,
        "secret_access_key": key.secret,
        "token": key.session_token,
        "expires_at": None,
    }
    options: ClientConfig = {"allow_http": True}
    return S3Store(bucket, config=config, client_options=options, credential_provider=lambda: credential)


def _where(source: S3Source, environment: Mapping[str, str], profile: Mapping[str, str]) -> tuple[str, str]:
    """Endpoint and region."""
    regions = (source.region, environment.get("AWS_REGION"), environment.get("AWS_DEFAULT_REGION"))
    region = next(filter(None, (*regions, profile.get("region"))), _REGION)
    endpoints = (source.endpoint, environment.get("AWS_ENDPOINT_URL_S3"), environment.get("AWS_ENDPOINT_URL"))
    aws = f"https://s3.{region}.amazonaws.com"
    return next(filter(None, (*endpoints, profile.get("endpoint_url"))), aws).rstrip("/"), region
