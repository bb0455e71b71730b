"""Writes a report into a ConfigMap, as the pod's ServiceAccount may."""

import base64
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Source: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api"""
_TRIES: Final = 4
_PAUSE: Final = 1.0
"""Seconds before the second try; twice as long before each further one."""
_TIMEOUT: Final = httpx.Timeout(15.0)


class NotDeliveredError(Exception):
    """The API server did not take the report; the message says why."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where it answers, and what a pod shows it."""

    url: str
    namespace: str
    token: str
    authorities: Path


def in_cluster(account: Path = ACCOUNT, environment: Mapping[str, str] = os.environ) -> ApiServer:
    """The API server of the cluster that this pod runs in.

    Raises:
        NotDeliveredError: this is no pod with a ServiceAccount's token.

    """
    try:
        host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
        namespace, token = ((account / name).read_text().strip() for name in ("namespace", "token"))
    except (KeyError, OSError) as error:
        raise NotDeliveredError(f"this is no pod with the token of a ServiceAccount: {error}") from error
    host = f"[{host}]" if ":" in host else host
    return ApiServer(f"https://{host}:{port}", namespace, token, account / "ca.crt")


def deliver(packed: bytes, config_map: str, key: str, server: ApiServer) -> None:
    """Put the report under binaryData.KEY of a ConfigMap that exists; other keys stay as they are.

    Raises:
        NotDeliveredError: refused, or no answer in several tries.

    """
    url = f"{server.url}/api/v1/namespaces/{server.namespace}/configmaps/{config_map}"
    body = {"binaryData": {key: base64.b64encode(packed).decode()}}
    headers = {"authorization": f"Bearer {server.token}", "content-type": "application/merge-patch+json"}
    trusted: ssl.SSLContext | bool = True
    if server.url.startswith("https:"):
        trusted = ssl.create_default_context(cafile=str(server.authorities))
    with httpx.Client(verify=trusted, timeout=_TIMEOUT, trust_env=False, headers=headers) as client:
        for attempt in range(_TRIES):
            problem = _attempt(client, url, body)
            if problem is None:
                return
            if attempt + 1 < _TRIES:
                time.sleep(_PAUSE * (1 << attempt))
    raise NotDeliveredError(problem)


def _attempt(client: httpx.Client, url: str, body: dict[str, dict[str, str]]) -> str | None:
    """None where it worked; why another try may work.

    Raises:
        NotDeliveredError: another try finds the same.

    """
    try:
        answer = client.patch(url, json=body)
    except httpx.HTTPError as error:
        return f"the API server does not answer: {type(error).__name__}: {error}"
    if answer.is_success:
        return None
    problem = f"the API server answered {answer.status_code}: {answer.text[:300]}"
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
        return problem
    raise NotDeliveredError(problem)
