"""Credentials of a source: files in a folder, as a Secret is mounted, or the usual places of a laptop.

token                                            a bearer token: http(s), oci, hf
username, password                               http(s), oci
access-key-id, secret-access-key, session-token  s3; the last one only with temporary keys
config.json or .dockerconfigjson                 oci, as `docker login` writes it

Values never appear in messages, logs or `repr`.
"""

import base64
import configparser
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from shimmy_engine.gguf_header import GgufError

_DOCKER_FILES: Final = ("config.json", ".dockerconfigjson")
_DOCKER_HUB: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and a password."""

    username: str
    password: str = field(repr=False)

    def header(self) -> str:
        """The header Authorization of RFC 7617."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key of S3's API."""

    key_id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class HeaderAuth(httpx.Auth):
    """Sends one header Authorization; the client drops it when a redirect leads to another host."""

    def __init__(self, header: str) -> None:
        self._header = header

    def auth_flow(self, request: httpx.Request) -> Any:
        """Add the header."""
        request.headers["authorization"] = self._header
        yield request


class Credentials:
    """What there is to show to a source.

    Each question is answered from the folder alone where there is one, with CredentialsMissing (a GgufError) where it
    holds nothing that fits.
    """

    def __init__(self, folder: Path | None, environment: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._environment = environment

    def for_web(self) -> httpx.Auth | None:
        """For a web server: a token, or a user's name and password."""
        header = self._header()
        if header is None and self._folder is not None:
            raise self._missing("token, or username and password")
        return HeaderAuth(header) if header else None

    def for_hub(self) -> httpx.Auth | None:
        """For Hugging Face: a token, on a laptop HF_TOKEN or the one of `hf auth login`."""
        if self._folder is not None:
            token = self._entry("token")
            if token is None:
                raise self._missing("token")
        else:
            from huggingface_hub import get_token

            token = get_token()
        return HeaderAuth(f"Bearer {token}") if token else None

    def for_s3(self) -> AccessKey | None:
        """For S3: a key, on a laptop the one of AWS's environment variables or the chosen profile."""
        if self._folder is not None:
            key_id, secret = self._entry("access-key-id"), self._entry("secret-access-key")
            if key_id is None or secret is None:
                raise self._missing("access-key-id and secret-access-key")
            return AccessKey(key_id, secret, self._entry("session-token"))
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        key_id, secret, session = (self._environment.get(name) for name in names)
        if key_id and secret:
            return AccessKey(key_id, secret, session)
        profile = self.aws_profile("AWS_SHARED_CREDENTIALS_FILE", "credentials")
        if {"aws_access_key_id", "aws_secret_access_key"} <= profile.keys():
            session = profile.get("aws_session_token")
            return AccessKey(profile["aws_access_key_id"], profile["aws_secret_access_key"], session)
        return None

    def aws_profile(self, variable: str, file: str) -> Mapping[str, str]:
        """The chosen profile of ~/.aws/FILE; empty where there is none, and always with a folder.

        Source: https://docs.aws.amazon.com/cli/v1/userguide/cli-configure-files.html
        """
        if self._folder is not None:
            return {}
        path = Path(self._environment.get(variable) or self._home() / ".aws" / file)
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path)
        except configparser.Error as error:
            raise GgufError("CredentialsMissing", f"{path} is no AWS configuration") from error
        profile = self._environment.get("AWS_PROFILE") or "default"
        for section in (profile, f"profile {profile}"):
            if parser.has_section(section):
                return dict(parser.items(section))
        return {}

    def for_registry(self, registry: str) -> Login | str | None:
        """For a registry: a login, or a bearer token as text; on a laptop what `docker login` stored."""
        if self._folder is None:
            folder = Path(self._environment.get("DOCKER_CONFIG") or self._home() / ".docker")
            return _docker_login(folder / "config.json", registry)
        token, login = self._entry("token"), self._login()
        if login is not None or token is not None:
            return login or token
        for name in _DOCKER_FILES:
            login = _docker_login(self._folder / name, registry)
            if login is not None:
                return login
        raise self._missing(f"token, username and password, or config.json with a login of {registry}")

    def _home(self) -> Path:
        return Path(self._environment.get("HOME", "/"))

    def _header(self) -> str | None:
        token, login = self._entry("token"), self._login()
        return f"Bearer {token}" if token else login.header() if login else None

    def _login(self) -> Login | None:
        username, password = self._entry("username"), self._entry("password")
        return Login(username, password) if username is not None and password is not None else None

    def _entry(self, name: str) -> str | None:
        if self._folder is None:
            return None
        try:
            return (self._folder / name).read_text().strip() or None
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise GgufError("CredentialsMissing", f"{self._folder / name} cannot be read") from error

    def _missing(self, wanted: str) -> GgufError:
        return GgufError("CredentialsMissing", f"the credentials in {self._folder} lack {wanted}")


def _docker_login(path: Path, registry: str) -> Login | None:
    """The login of a registry in Docker's configuration.

    Source: https://docs.docker.com/reference/cli/docker/login/ and github.com/docker/cli, cli/config/configfile
    """
    try:
        entries: Any = json.loads(path.read_text()).get("auths") or {}
        for address, entry in entries.items():
            if _same_registry(address, registry):
                return _login_of(entry)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise GgufError("CredentialsMissing", f"{path} is no configuration of Docker") from error
    return None


def _login_of(entry: Mapping[str, str]) -> Login | None:
    if entry.get("username") and entry.get("password"):
        return Login(entry["username"], entry["password"])
    username, separator, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    return Login(username, password) if separator else None


def _same_registry(address: str, registry: str) -> bool:
    host = address.partition("://")[2] or address
    host = host.partition("/")[0]
    return host == registry or {host, registry} <= _DOCKER_HUB
