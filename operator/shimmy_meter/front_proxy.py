"""Who calls, as the API server says it when it passes a request on. Pure.

The API server shows a client certificate of the front proxy's authority and names the user in headers. The headers of
anybody else mean nothing. What the authority, the names and the headers are, every API server writes into a ConfigMap.
https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self
from urllib.parse import unquote

CONFIG_NAMESPACE: Final = "kube-system"
CONFIG_MAP: Final = "extension-apiserver-authentication"
_ANONYMOUS: Final = "system:anonymous"
_AUTHENTICATED: Final = "system:authenticated"
_UNAUTHENTICATED: Final = "system:unauthenticated"
"""Every user but the anonymous one is in the second, also those of whom a front proxy does not say it: the API server
asks for OpenAPI documents as a user without groups (pkg/authentication/group of k8s.io/apiserver does the same)."""

Certificate = Mapping[str, Any]
"""As ssl.SSLSocket.getpeercert() has it: of a certificate that the authority has signed, else empty."""


class Headers(Protocol):
    """Headers of a request, of which there may be several with one name; names in any case."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """All values of one name."""

    def keys(self) -> Any:
        """All names."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class ConfigError(ValueError):
    """The ConfigMap does not say who the front proxy is."""


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """Who may say who calls, and how."""

    authority: str
    """PEM. One that signs other clients' certificates too is safe only with `names`."""
    names: frozenset[str]
    """Common names; any if there are none."""
    user_headers: tuple[str, ...]
    uid_headers: tuple[str, ...]
    group_headers: tuple[str, ...]
    extra_prefixes: tuple[str, ...]

    @classmethod
    def read(cls, data: Mapping[str, str]) -> Self:
        """From the ConfigMap's data.

        Raises:
            ConfigError: it is not there, or it is something else: the API server has no front proxy.
        """
        authority = data.get("requestheader-client-ca-file", "")
        users = _texts(data, "requestheader-username-headers")
        if not authority.strip() or not users:
            raise ConfigError(f"{CONFIG_NAMESPACE}/{CONFIG_MAP} names no authority or no header of the front proxy")
        return cls(
            authority=authority,
            names=frozenset(_texts(data, "requestheader-allowed-names")),
            user_headers=users,
            uid_headers=_texts(data, "requestheader-uid-headers"),
            group_headers=_texts(data, "requestheader-group-headers"),
            extra_prefixes=tuple(prefix.lower() for prefix in _texts(data, "requestheader-extra-headers-prefix")),
        )

    def user(self, certificate: Certificate | None, headers: Headers) -> User | None:
        """Who asks, or None if it is not the front proxy that says so, or it does not say."""
        if not certificate or (self.names and not self.names & _common_names(certificate)):
            return None
        name = _first(headers, self.user_headers)
        if not name:
            return None
        groups = tuple(value for header in self.group_headers for value in headers.getall(header, ()))
        if name != _ANONYMOUS and not {_AUTHENTICATED, _UNAUTHENTICATED} & set(groups):
            groups += (_AUTHENTICATED,)
        return User(name, _first(headers, self.uid_headers), groups, tuple(sorted(self._extra(headers).items())))

    def _extra(self, headers: Headers) -> dict[str, tuple[str, ...]]:
        return {
            unquote(header.lower().removeprefix(prefix)): tuple(headers.getall(header, ()))
            for prefix in self.extra_prefixes
            for header in headers.keys()  # noqa: SIM118 - no Mapping: a header may be there several times
            if header.lower().startswith(prefix)
        }


def _texts(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    try:
        found = json.loads(data.get(key) or "[]")
    except ValueError as error:
        raise ConfigError(f"{key} of {CONFIG_NAMESPACE}/{CONFIG_MAP} is no JSON") from error
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ConfigError(f"{key} of {CONFIG_NAMESPACE}/{CONFIG_MAP} is no list of texts")
    return tuple(found)


def _common_names(certificate: Certificate) -> set[str]:
    return {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}


def _first(headers: Headers, names: Sequence[str]) -> str:
    return next((value for name in names for value in headers.getall(name, ()) if value), "")
