"""TLS towards clients: a certificate from a mounted Secret, read anew when the kubelet changes it. Pure."""

from pathlib import Path
from typing import Any, Final

from shimmy_router.xds.filters import TYPE, typed

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
"""Entries of a Secret of type kubernetes.io/tls."""

_NAME: Final = "server"
_SOCKET: Final = "extensions.transport_sockets.tls.v3"


def secrets(folder: Path) -> dict[str, Any]:
    """What Envoy's secret discovery reads from a file: the pair in `folder`.

    The kubelet puts a changed Secret beside the old one and then renames a symbolic link in the folder (AtomicWriter in
    kubernetes/pkg/volume/util). Envoy watches the folder for that, and takes certificate and key together.
    """
    pair = {
        "certificate_chain": {"filename": str(folder / CERTIFICATE)},
        "private_key": {"filename": str(folder / KEY)},
        "watched_directory": {"path": str(folder)},
    }
    return {
        "resources": [{TYPE: f"type.googleapis.com/envoy.{_SOCKET}.Secret", "name": _NAME, "tls_certificate": pair}]
    }


def transport_socket(secrets_file: Path) -> dict[str, Any]:
    """The transport socket of a listener whose certificate `secrets_file` names. TLS 1.2 and 1.3, HTTP/2 if asked."""
    source = {"path_config_source": {"path": str(secrets_file)}, "resource_api_version": "V3"}
    common = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [{"name": _NAME, "sds_config": source}],
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(f"{_SOCKET}.DownstreamTlsContext", common_tls_context=common),
    }
