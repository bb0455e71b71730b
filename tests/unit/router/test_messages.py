"""What is made of JSON here is what protobuf's own parser makes of it."""

from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf import json_format
from google.protobuf.message import Message
from tests.unit.router.test_fleet import RECORDS

from shimmy_router.index import compile_fleet
from shimmy_router.xds import messages
from shimmy_router.xds.compiler import compile_snapshot
from shimmy_router.xds.resources import CLUSTER, ENDPOINTS, ROUTES

KINDS: dict[str, type[Message]] = {
    CLUSTER: cluster_pb2.Cluster,
    ENDPOINTS: endpoint_pb2.ClusterLoadAssignment,
    ROUTES: route_pb2.RouteConfiguration,
}


def test_all_resources_of_a_fleet_are_the_same_by_either_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(config: dict[str, Any], kind: type[Message]) -> Message:
        expected: Message = json_format.ParseDict(config, kind())
        found = messages.parse(config, kind)
        # Not as bytes: what is packed into an Any there has its maps in any order.
        assert json_format.MessageToDict(found) == json_format.MessageToDict(expected)
        return found

    for module in ("clusters", "routes", "fallback", "tokens"):
        monkeypatch.setattr(f"shimmy_router.xds.{module}.parse", both)
    snapshot = compile_snapshot(compile_fleet(RECORDS))
    assert all(snapshot.resources[type_url] for type_url in KINDS)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"nam": "x"}, KeyError),
        ({"name": 1}, TypeError),
        ({"type": "NOTHING"}, KeyError),
        ({"connect_timeout": "soon"}, ValueError),
    ],
)
def test_what_a_message_does_not_know_is_an_error(config: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        messages.parse(config, cluster_pb2.Cluster)


def test_an_empty_message_is_there() -> None:
    assert messages.parse({"metadata": {}}, listener_pb2.Listener).HasField("metadata")
