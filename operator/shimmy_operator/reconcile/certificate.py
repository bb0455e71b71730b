"""Keeps the metrics server's certificate valid, and lets the API server and tenants' routers trust it."""

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shimmy_api import names
from shimmy_operator.cluster.port import Cluster, Selection, Watcher
from shimmy_operator.cluster.resources import Manifest
from shimmy_operator.reconcile.certificate_issue import issue
from shimmy_operator.render.certificate import AUTHORITIES, ENTRIES, renewed

_LOG = logging.getLogger(__name__)

API_SERVICE: Final = "v1beta1.external.metrics.k8s.io"
"""Of which a cluster has one; where it is another provider's, it is left alone."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where the certificate lies."""

    namespace: str
    secret: str
    issued: bool
    """Whether it is made here; what somebody else keeps in the Secret is only read."""

    @property
    def hosts(self) -> frozenset[str]:
        """How clients name the server."""
        return frozenset({names.METER, f"{names.METER}.{self.namespace}.svc"})


class CertificateKeeper:
    """Looks after one certificate."""

    def __init__(
        self,
        certificate: Certificate,
        cluster: Cluster,
        watcher: Watcher,
        clock: Callable[[], datetime],
        told: Callable[[bytes], None],
    ) -> None:
        """`told` takes whom to trust, PEM, at each look."""
        self._certificate = certificate
        self._cluster = cluster
        self._watcher = watcher
        self._clock = clock
        self._told = told

    async def look(self) -> None:
        """Renew what must be renewed, and show the API server whom to trust.

        Raises:
            ClusterError: the API server does not take it.
        """
        place = self._certificate
        secret = await self._find(Selection("Secret", namespace=place.namespace, name=place.secret))
        data = _decoded(secret)
        if place.issued:
            now = self._clock()
            wanted = renewed(data, place.hosts, now, lambda: issue(place.hosts, now))
            if wanted != data:
                await self._cluster.apply(_secret(place, wanted, secret))
                _LOG.info("renewed the certificate in Secret %s/%s", place.namespace, place.secret)
            data = wanted
        if authorities := data.get(AUTHORITIES):
            await self._trust(authorities)
            self._told(authorities)

    async def _trust(self, authorities: bytes) -> None:
        service = await self._find(Selection("APIService", name=API_SERVICE))
        if service is None or service["metadata"].get("labels", {}).get(names.LABEL_PART_OF) != names.PART_OF:
            return
        bundle = base64.b64encode(authorities).decode()
        if service["spec"].get("caBundle") != bundle:
            metadata = {"name": API_SERVICE, "resourceVersion": service["metadata"]["resourceVersion"]}
            manifest = {"apiVersion": service["apiVersion"], "kind": "APIService", "metadata": metadata}
            await self._cluster.apply(manifest | {"spec": {"caBundle": bundle}})
            _LOG.info("told the API server whom to trust for %s", API_SERVICE)

    async def _find(self, selection: Selection) -> Manifest | None:
        found = (await self._watcher.list(selection)).items
        return found[0] if found else None


def _decoded(secret: Manifest | None) -> dict[str, bytes]:
    data = (secret or {}).get("data") or {}
    return {key: base64.b64decode(data[key]) for key in ENTRIES & data.keys()}


def _secret(place: Certificate, data: dict[str, bytes], before: Manifest | None) -> Manifest:
    labels = {names.LABEL_COMPONENT: names.METER_COMPONENT, names.LABEL_MANAGED_BY: names.FIELD_MANAGER}
    metadata: Manifest = {"name": place.secret, "namespace": place.namespace, "labels": labels}
    if before is not None:
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "kubernetes.io/tls",
        "data": encoded,
    }
