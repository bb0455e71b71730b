"""Models in S3 and in stores that speak its API.

Each request gets a URL that obstore signs (no network needed), so that an object is fetched like any other file: in
ranges, with proxies, certificate authorities and retries as everywhere.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import httpx
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from shimmy_api.sources import S3Source
from shimmy_engine.fetch.credentials import Credentials
from shimmy_engine.fetch.remote import Remote
from shimmy_engine.gguf_header import GgufError

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
    profile = credentials.aws_profile("AWS_CONFIG_FILE", "config")
    region = (
        source.region
        or environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or profile.get("region")
        or _REGION
    )
    endpoint = (
        source.endpoint
        or environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or profile.get("endpoint_url")
        or f"https://s3.{region}.amazonaws.com"
    ).rstrip("/")
    place = f"s3://{source.bucket}/{source.key} at {endpoint}"
    if key is None:
        url = str(
            httpx.URL(endpoint).copy_with(path=f"{httpx.URL(endpoint).path.rstrip('/')}/{source.bucket}/{source.key}")
        )
        return Remote(place, lambda: url)
    try:
        store = S3Store(
            source.bucket,
            endpoint=endpoint,
            region=region,
            access_key_id=key.key_id,
            secret_access_key=key.secret,
            session_token=key.session_token,
            client_options={"allow_http": True},
        )
        obstore.sign(store, "GET", source.key, _VALID)
    except (BaseError, ValueError) as error:
        raise GgufError("SourceUnreachable", f"{place} makes no address: {type(error).__name__}") from error
    return Remote(place, lambda: obstore.sign(store, "GET", source.key, _VALID))
