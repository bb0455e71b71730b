"""Make before break, acknowledgements and refusals."""

import pytest

from shimmy_router.delta import DeltaStream, Request, Response
from shimmy_router.fleet import Fleet, Key, Model, Tenant
from shimmy_router.records import Endpoint
from shimmy_router.xds.compiler import compile_snapshot
from shimmy_router.xds.resources import CLUSTER, ENDPOINTS, ROUTES, SCOPE, Snapshot

KEY = "sk-shimmy-aaaaaaaa-0123456789abcdef0123456789abcdef"


def snapshot(*models: str, keys: tuple[str, ...] = (KEY,)) -> Snapshot:
    served = tuple(Model(name, "a", endpoints=(Endpoint("192.0.2.1", 8080),)) for name in models)
    accepted = tuple(Key(key, key[:18], key[10:18]) for key in keys)
    return compile_snapshot(Fleet((Tenant("a", "shimmy-a", accepted, models=served),)))


class Stream(DeltaStream):
    """A stream of a snapshot that tests exchange for another one."""

    def __init__(self, current: Snapshot) -> None:
        self._current = current
        super().__init__(current)

    def set_snapshot(self, new: Snapshot) -> None:
        self.note(self._current.apply(self._current.towards(new)))


class Envoy:
    """Answers as Envoy does: subscribes, acknowledges, asks for the endpoints of new clusters."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.refuses: set[str] = set()
        """Names of what it does not take. It has nothing of an answer that it refuses."""
        self.log: list[tuple[str, frozenset[str], frozenset[str]]] = []
        for type_url in (CLUSTER, SCOPE):
            stream.receive(Request(type_url))
        self.settle()

    def settle(self) -> None:
        while response := self._stream.next_response():
            self.answer(self._stream.sent(response))

    def answer(self, response: Response) -> None:
        names = frozenset(resource.name for resource in response.resources)
        if names & self.refuses:
            self._stream.receive(Request(response.type_url, nonce=response.nonce, error="no"))
            return
        self.log.append((response.type_url, names, frozenset(response.removed)))
        self._stream.receive(Request(response.type_url, nonce=response.nonce))
        follows = {CLUSTER: ENDPOINTS, SCOPE: ROUTES}.get(response.type_url)
        if follows and names:
            wanted = names if follows == ENDPOINTS else frozenset({"a"})
            self._stream.receive(Request(follows, subscribe=tuple(wanted)))

    def taken(self, type_url: str) -> set[str]:
        """Names of the resources that it has taken so far."""
        return {name for kind, names, _ in self.log for name in names if kind == type_url}

    def position(self, type_url: str) -> int:
        return next(index for index, entry in enumerate(self.log) if entry[0] == type_url)


@pytest.fixture
def stream() -> Stream:
    return Stream(snapshot("m"))


def test_a_route_is_sent_after_its_cluster_and_endpoints(stream: Stream) -> None:
    envoy = Envoy(stream)
    assert envoy.position(CLUSTER) < envoy.position(ENDPOINTS) < envoy.position(ROUTES)
    assert stream.settled


def test_a_new_model_follows_the_same_order(stream: Stream) -> None:
    envoy = Envoy(stream)
    envoy.log.clear()
    stream.set_snapshot(snapshot("m", "n"))
    envoy.settle()
    assert envoy.log == [
        (CLUSTER, frozenset({"a/n"}), frozenset()),
        (ENDPOINTS, frozenset({"a/n"}), frozenset()),
        (ROUTES, frozenset({"a"}), frozenset()),
    ]


def test_a_cluster_goes_only_after_no_route_names_it(stream: Stream) -> None:
    envoy = Envoy(stream)
    envoy.log.clear()
    stream.set_snapshot(snapshot())
    envoy.settle()
    removed = [type_url for type_url, _, gone in envoy.log if "a/m" in gone]
    assert envoy.position(ROUTES) < [entry[0] for entry in envoy.log].index(CLUSTER)
    assert CLUSTER in removed


def test_a_revoked_key_goes_at_once_even_while_a_cluster_is_not_acknowledged(stream: Stream) -> None:
    Envoy(stream)
    stream.set_snapshot(snapshot("m", "n"))
    waiting = stream.next_response()
    assert waiting
    stream.sent(waiting)
    stream.set_snapshot(snapshot("m", "n", keys=()))
    revocation = stream.next_response()
    assert revocation
    assert revocation.type_url == SCOPE
    assert len(revocation.removed) == 1


def test_nothing_is_sent_twice_where_nothing_changed(stream: Stream) -> None:
    Envoy(stream)
    stream.set_snapshot(snapshot("m"))
    assert stream.next_response() is None


def test_an_envoy_that_reconnects_is_told_only_what_differs() -> None:
    known = snapshot("m")
    stream = Stream(snapshot("m", "n"))
    for type_url in (CLUSTER, SCOPE):
        versions = {name: resource.version for name, resource in known.resources[type_url].items()}
        stream.receive(Request(type_url, known=versions))
    response = stream.next_response()
    while response and response.type_url != CLUSTER:
        stream.receive(Request(response.type_url, nonce=stream.sent(response).nonce))
        response = stream.next_response()
    assert response
    assert [resource.name for resource in response.resources] == ["a/n"]


def test_endpoints_go_no_sooner_than_the_route_to_them(stream: Stream) -> None:
    envoy = Envoy(stream)
    envoy.log.clear()
    stream.set_snapshot(snapshot())
    envoy.settle()
    gone = [index for index, (_, _, removed) in enumerate(envoy.log) if "a/m" in removed]
    assert envoy.position(ROUTES) < min(gone)


def test_clusters_of_a_tenant_that_is_gone_wait_until_no_key_leads_to_them(stream: Stream) -> None:
    Envoy(stream)
    stream.set_snapshot(Snapshot())
    revocation = stream.next_response()
    assert revocation
    assert revocation.type_url == SCOPE
    stream.sent(revocation)
    pending = stream.next_response()
    assert pending is None or pending.type_url == ROUTES


def test_a_refused_cluster_is_not_sent_again_and_does_not_hold_up_the_rest(stream: Stream) -> None:
    Envoy(stream)
    stream.set_snapshot(snapshot("m", "n"))
    response = stream.next_response()
    assert response
    assert response.type_url == CLUSTER
    stream.receive(Request(CLUSTER, nonce=stream.sent(response).nonce, error="no"))
    following = stream.next_response()
    assert following
    assert following.type_url == ROUTES


def test_an_answer_to_something_older_does_not_count(stream: Stream) -> None:
    Envoy(stream)
    stream.set_snapshot(snapshot("m", "n"))
    response = stream.next_response()
    assert response
    stream.sent(response)
    stream.receive(Request(response.type_url, nonce="an older one"))
    assert not stream.settled


def test_a_refused_cluster_does_not_hold_up_later_ones(stream: Stream) -> None:
    envoy = Envoy(stream)
    stream.set_snapshot(snapshot("m", "n"))
    refused = stream.next_response()
    assert refused
    stream.receive(Request(CLUSTER, nonce=stream.sent(refused).nonce, error="no"))
    stream.set_snapshot(snapshot("m", "n", "o"))
    envoy.settle()
    assert stream.settled


def test_a_cluster_that_comes_back_is_awaited_anew(stream: Stream) -> None:
    envoy = Envoy(stream)
    stream.set_snapshot(snapshot())
    envoy.settle()
    stream.receive(Request(ENDPOINTS, unsubscribe=("a/m",)))
    envoy.log.clear()
    stream.set_snapshot(snapshot("m"))
    envoy.settle()
    assert envoy.position(CLUSTER) < envoy.position(ENDPOINTS) < envoy.position(ROUTES)


def test_routes_that_come_back_are_sent_to_an_envoy_that_still_wants_them(stream: Stream) -> None:
    envoy = Envoy(stream)
    stream.set_snapshot(snapshot("m", keys=()))
    envoy.settle()
    envoy.log.clear()
    stream.set_snapshot(snapshot("m"))
    while response := stream.next_response():
        stream.receive(Request(response.type_url, nonce=stream.sent(response).nonce))
        if response.type_url == CLUSTER:
            stream.receive(Request(ENDPOINTS, subscribe=("a/m",)))
        envoy.log.append((response.type_url, frozenset(r.name for r in response.resources), frozenset()))
    assert (ROUTES, frozenset({"a"}), frozenset()) in envoy.log


def test_what_envoy_asks_for_and_is_not_there_is_said_to_be_gone(stream: Stream) -> None:
    Envoy(stream)
    stream.receive(Request(ROUTES, subscribe=("nothing",)))
    response = stream.next_response()
    assert response
    assert (response.type_url, response.removed) == (ROUTES, ("nothing",))
    stream.receive(Request(ROUTES, nonce=stream.sent(response).nonce))
    assert stream.settled


_MANY = tuple(f"m{number}" for number in range(20))


def test_one_bad_resource_does_not_keep_the_others_away(stream: Stream) -> None:
    envoy = Envoy(stream)
    envoy.refuses = {"a/m3", "a/m4", "a/m17"}
    stream.set_snapshot(snapshot(*_MANY))
    envoy.settle()
    assert envoy.taken(CLUSTER) >= {f"a/{name}" for name in _MANY} - envoy.refuses
    assert stream.refused == {(CLUSTER, name) for name in envoy.refuses}
    assert "a" in envoy.taken(ROUTES)
    assert stream.settled


def test_what_is_refused_is_sent_again_only_when_it_differs_and_then_by_itself(stream: Stream) -> None:
    envoy = Envoy(stream)
    envoy.refuses = {"a"}
    stream.set_snapshot(snapshot("m", "n"))
    envoy.settle()
    assert stream.refused == {(ROUTES, "a")}
    assert stream.next_response() is None
    envoy.log.clear()
    envoy.refuses.clear()
    stream.set_snapshot(snapshot("m", "n", "o"))
    envoy.settle()
    assert envoy.log[-1] == (ROUTES, frozenset({"a"}), frozenset())
    assert stream.refused == frozenset()


def test_a_refused_resource_that_goes_is_refused_no_more(stream: Stream) -> None:
    envoy = Envoy(stream)
    envoy.refuses = {"a/n"}
    stream.set_snapshot(snapshot("m", "n"))
    envoy.settle()
    stream.set_snapshot(snapshot("m"))
    envoy.settle()
    assert stream.refused == frozenset()
    assert (CLUSTER, frozenset(), frozenset({"a/n"})) in envoy.log, "Envoy may have an older version of it"


def test_a_revocation_does_not_depend_on_what_else_is_told(stream: Stream) -> None:
    envoy = Envoy(stream)
    other = KEY.replace("aaaaaaaa", "bbbbbbbb")
    (new,) = snapshot("m", keys=(other,)).resources[SCOPE].keys() - snapshot("m", keys=()).resources[SCOPE].keys()
    envoy.refuses = {new}
    stream.set_snapshot(snapshot("m", keys=(other,)))
    envoy.settle()
    (old,) = snapshot("m").resources[SCOPE].keys() - snapshot("m", keys=()).resources[SCOPE].keys()
    assert (SCOPE, frozenset(), frozenset({old})) in envoy.log


def test_what_envoy_has_acknowledged_it_has_until_that_changes_or_is_refused() -> None:
    stream = Stream(snapshot("m"))
    envoy = Envoy(stream)
    assert stream.has(ROUTES, "a")
    assert not stream.has(ROUTES, "b")
    stream.set_snapshot(snapshot("m", "n"))
    assert not stream.has(ROUTES, "a")
    while response := stream.next_response():
        sent = stream.sent(response)
        assert not (response.type_url == ROUTES and stream.has(ROUTES, "a"))
        envoy.answer(sent)
    assert stream.has(ROUTES, "a")
    envoy.refuses = {"a"}
    stream.set_snapshot(snapshot("m"))
    envoy.settle()
    assert not stream.has(ROUTES, "a")
