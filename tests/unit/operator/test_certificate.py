"""The metrics server's certificate, from the first one to those that follow."""

import base64
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from tests.unit.operator.fake_cluster import FakeCluster

from shimmy_operator.cluster.port import Listing, Selection, WatchEvent
from shimmy_operator.cluster.resources import Manifest, Reference
from shimmy_operator.reconcile.certificate import API_SERVICE, Certificate, CertificateKeeper
from shimmy_operator.reconcile.certificate_issue import VALID_FOR, issue
from shimmy_operator.render.certificate import Issued, renewed

HOSTS = frozenset({"shimmy-meter", "shimmy-meter.shimmy-system.svc"})
START = datetime(2026, 5, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Maker:
    """Issues, and counts."""

    def __init__(self) -> None:
        self.now = START
        self.made: list[Issued] = []

    def issue(self) -> Issued:
        self.made.append(issue(HOSTS, self.now))
        return self.made[-1]

    def renewed(self, data: dict[str, bytes]) -> dict[str, bytes]:
        return renewed(data, HOSTS, self.now, self.issue)


@pytest.fixture
def maker() -> Maker:
    return Maker()


def authorities(data: dict[str, bytes]) -> int:
    return len(x509.load_pem_x509_certificates(data["ca.crt"]))


def test_nothing_changes_for_two_thirds_of_the_time(maker: Maker) -> None:
    first = maker.renewed({})
    while maker.now < START + VALID_FOR * 2 / 3 - DAY:
        maker.now += DAY
        assert maker.renewed(first) == first
    assert len(maker.made) == 1


def test_the_next_authority_is_trusted_before_it_is_needed(maker: Maker) -> None:
    first = maker.renewed({})
    maker.now = START + VALID_FOR * 2 / 3 + HOUR
    both = maker.renewed(first)
    assert both["tls.crt"] == first["tls.crt"]
    assert both["ca.crt"] == first["ca.crt"] + maker.made[1].authority
    assert maker.renewed(both) == both
    maker.now += HOUR
    second = maker.renewed(both)
    assert (second["tls.crt"], second["tls.key"]) == (maker.made[1].certificate, maker.made[1].key)
    assert second["ca.crt"] == maker.made[1].authority + first["ca.crt"]
    assert set(second) == {"tls.crt", "tls.key", "ca.crt"}
    assert maker.renewed(second) == second
    assert len(maker.made) == 2


def test_authorities_do_not_pile_up(maker: Maker) -> None:
    data: dict[str, bytes] = {}
    for _ in range(500):
        data = maker.renewed(data)
        assert Issued(data["tls.crt"], data["tls.key"], data["ca.crt"]).serves(HOSTS, maker.now)
        assert authorities(data) <= 2
        maker.now += DAY
    assert len(maker.made) > 7


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.pop("tls.key"),
        lambda data: data.update({"tls.crt": b"x"}),
        lambda data: data.update({"ca.crt": issue(HOSTS, START).authority}),
        lambda data: data.update({"tls.key": issue(HOSTS, START).key}),
        lambda data: data.update(dict.fromkeys(data, b"")),
    ],
)
def test_what_does_not_fit_together_is_replaced_at_once(
    maker: Maker, spoil: Callable[[dict[str, bytes]], None]
) -> None:
    data = maker.renewed({})
    spoil(data)
    found = maker.renewed(data)
    assert found["tls.crt"] == maker.made[1].certificate
    assert found["ca.crt"].startswith(maker.made[1].authority)


def test_an_operator_that_was_away_for_long_replaces_it_at_once(maker: Maker) -> None:
    data = maker.renewed({})
    maker.now = START + VALID_FOR
    assert maker.renewed(data)["tls.crt"] == maker.made[1].certificate


def test_another_name_needs_another_certificate(maker: Maker) -> None:
    data = maker.renewed({})
    found = renewed(data, frozenset({"other"}), maker.now, lambda: issue({"other"}, maker.now))
    assert authorities(found) == 2
    assert found["tls.crt"] != data["tls.crt"]


def test_a_client_believes_both_while_they_overlap(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old, new = issue(HOSTS, now), issue(HOSTS, now)
    client = ssl.create_default_context(cadata=(old.authority + new.authority).decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for issued in (old, new):
        (tmp_path / "pair.pem").write_bytes(issued.key + issued.certificate)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(tmp_path / "pair.pem")
        handshake(client, server, "shimmy-meter.shimmy-system.svc")
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(client, server, "other")


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """Between two ends in memory."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(back, there, server_hostname=name)
    answers = server.wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for end in (asks, answers):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


class Place:
    """A cluster with an APIService, looked at through lists."""

    def __init__(self, *, issued: bool = True) -> None:
        self.cluster = FakeCluster()
        self.now = START
        self.told: list[bytes] = []
        self.keeper = CertificateKeeper(
            Certificate("shimmy-system", "meter-tls", issued=issued),
            self.cluster,
            self,
            lambda: self.now,
            self.told.append,
        )

    async def list(self, selection: Selection) -> Listing:
        found = [m for key, m in self.cluster.objects.items() if key.kind == selection.kind and selection.covers(m)]
        return Listing(tuple(found), "1")

    def watch(self, _selection: Selection, _resource_version: str) -> AsyncIterator[WatchEvent]:
        raise NotImplementedError

    def secret(self) -> Manifest:
        return self.cluster.objects[Reference("Secret", "shimmy-system", "meter-tls")]

    def put_service(self, owner: str) -> None:
        metadata = {"name": API_SERVICE, "labels": {"app.kubernetes.io/part-of": owner}}
        service = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": metadata}
        self.cluster.put(service | {"spec": {"group": "external.metrics.k8s.io"}})

    def service(self) -> Manifest:
        found: Manifest = self.cluster.objects[Reference("APIService", None, API_SERVICE)]["spec"]
        return found


async def test_a_secret_is_made_and_the_api_server_told() -> None:
    place = Place()
    place.put_service("shimmy")
    await place.keeper.look()
    secret = place.secret()
    assert secret["type"] == "kubernetes.io/tls"
    assert place.service() == {"group": "external.metrics.k8s.io", "caBundle": secret["data"]["ca.crt"]}
    assert place.told == [base64.b64decode(secret["data"]["ca.crt"])]
    writes = list(place.cluster.writes)
    place.now += DAY
    await place.keeper.look()
    assert place.cluster.writes == writes


async def test_a_renewal_reaches_the_api_server_before_the_servers() -> None:
    place = Place()
    place.put_service("shimmy")
    await place.keeper.look()
    first = place.secret()["data"]["tls.crt"]
    place.now += VALID_FOR * 2 / 3 + HOUR
    await place.keeper.look()
    assert place.secret()["data"]["tls.crt"] == first
    assert base64.b64decode(place.service()["caBundle"]).count(b"BEGIN CERTIFICATE") == 2
    place.now += HOUR
    await place.keeper.look()
    assert place.secret()["data"]["tls.crt"] != first
    assert set(place.secret()["data"]) == {"tls.crt", "tls.key", "ca.crt"}


@pytest.mark.parametrize("installed", [True, False])
async def test_another_providers_api_service_is_left_alone(*, installed: bool) -> None:
    place = Place()
    if installed:
        place.put_service("keda-operator")
    await place.keeper.look()
    assert place.cluster.writes == ["apply Secret/shimmy-system/meter-tls"]


async def test_somebody_elses_certificate_is_only_trusted() -> None:
    place = Place(issued=False)
    place.put_service("shimmy")
    await place.keeper.look()
    assert not place.cluster.writes
    given = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "meter-tls", "namespace": "shimmy-system"}}
    place.cluster.put(given | {"data": {"ca.crt": "Y2E="}})
    await place.keeper.look()
    assert place.service()["caBundle"] == "Y2E="
    assert place.cluster.writes == [f"apply APIService/{API_SERVICE}"]
