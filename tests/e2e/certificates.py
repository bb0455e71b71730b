"""The router's certificate, in a Secret of the cluster."""

import socket
import ssl
from pathlib import Path

import yaml

from devkit.demo.fleet import SYSTEM_NAMESPACE
from devkit.kubectl import Kubectl
from devkit.pki import Authority

SECRET = "router-tls"
HOST = "127.0.0.1"
"""Where its port is forwarded to."""


class Certificates:
    """Those of one authority."""

    def __init__(self, kubectl: Kubectl, folder: Path) -> None:
        self._kubectl = kubectl
        self._authority = Authority(folder, "ca")

    def put(self, name: str) -> bytes:
        """Write a new one into the Secret; the certificate itself, DER."""
        pair = self._authority.server(name, [HOST])
        certificate = pair.certificate.read_text()
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": SYSTEM_NAMESPACE},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": pair.key.read_text()},
        }
        self._kubectl.apply(yaml.safe_dump(secret))
        return ssl.PEM_cert_to_DER_cert(certificate)

    def trust(self) -> ssl.SSLContext:
        """What a client of the router trusts."""
        return ssl.create_default_context(cafile=str(self._authority.files.certificate))

    def shown(self, port: int) -> bytes:
        """What a new connection to this port of HOST is shown, DER."""
        with (
            socket.create_connection((HOST, port), timeout=10) as plain,
            self.trust().wrap_socket(plain, server_hostname=HOST) as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""
