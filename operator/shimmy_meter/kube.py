"""What the metrics server asks the API server."""

from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client import ApiClient, ApiException

from shimmy_api.load import METER_AUDIENCE
from shimmy_meter.front_proxy import CONFIG_MAP, CONFIG_NAMESPACE, FrontProxy, User

_REQUEST_SECONDS: Final = 5

Answer = TypeVar("Answer")


class UnavailableError(Exception):
    """The API server does not answer, or does not let this server ask."""


async def connect(kubeconfig: str | None) -> ApiClient:
    """A client for the cluster that this process runs in, or for the one that a kubeconfig names."""
    configuration = client.Configuration()
    if kubeconfig is None:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=configuration
        )
    return ApiClient(configuration)


class ApiServer:
    """The questions."""

    def __init__(self, api: ApiClient) -> None:
        self._core = client.CoreV1Api(api)
        self._authentication = client.AuthenticationV1Api(api)
        self._authorization = client.AuthorizationV1Api(api)

    async def front_proxy(self) -> FrontProxy:
        """Who may say who calls.

        Raises:
            UnavailableError: the API server does not say.
            ConfigError: it has no front proxy.
        """
        found = await _guarded(
            self._core.read_namespaced_config_map(CONFIG_MAP, CONFIG_NAMESPACE, _request_timeout=_REQUEST_SECONDS)
        )
        return FrontProxy.read(found.data or {})

    async def review(self, spec: dict[str, Any]) -> bool:
        """Whether a SubjectAccessReview's subject may.

        Raises:
            UnavailableError: the API server does not say.
        """
        body: Any = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await _guarded(
            self._authorization.create_subject_access_review(body, _request_timeout=_REQUEST_SECONDS)
        )
        return answer.status is not None and bool(answer.status.allowed)

    async def identify(self, token: str) -> User | None:
        """Whose token it is; nobody's if it is not valid, or not meant for this server.

        Raises:
            UnavailableError: the API server does not say.
        """
        asked = {"token": token, "audiences": [METER_AUDIENCE]}
        body: Any = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": asked}
        answer = await _guarded(self._authentication.create_token_review(body, _request_timeout=_REQUEST_SECONDS))
        status = answer.status
        # Without the second, an authenticator answered that knows nothing of audiences.
        if status is None or not status.authenticated or METER_AUDIENCE not in (status.audiences or ()):
            return None
        user = status.user
        if user is None or not user.username:
            return None
        extra = sorted((key, tuple(values)) for key, values in (user.extra or {}).items())
        return User(user.username, user.uid or "", tuple(user.groups or ()), tuple(extra))


async def _guarded(request: Awaitable[Answer]) -> Answer:
    try:
        return await request
    except ApiException as error:
        raise UnavailableError(f"{error.status}: {error.reason}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(f"{type(error).__name__}: {error}") from error
