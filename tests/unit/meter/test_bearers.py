from typing import Any

import pytest

from shimmy_meter.bearers import Bearer, Bearers
from shimmy_meter.beliefs import FRESH_SECONDS
from shimmy_meter.front_proxy import User

ROUTER = User("router", "7", ("a",), (("authentication.kubernetes.io/pod-name", ("r0",)),))

OWN = User("system:serviceaccount:shimmy-a:shimmyrouter")


class Server:
    """Knows one token, and one verb that its user may."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.now = 0.0
        self.bearers = Bearers(self.identify, self.review, lambda: self.now)

    async def identify(self, token: str) -> User | None:
        self.asked.append(token)
        return {"good": ROUTER, "own": OWN}.get(token)

    async def review(self, asked: dict[str, Any]) -> bool:
        self.asked.append(asked.get("nonResourceAttributes") or asked["resourceAttributes"])
        path = asked.get("nonResourceAttributes", {})
        user: str = asked["user"]
        return user == "router" and path["verb"] == "post" if path else user == OWN.name


@pytest.fixture
def server() -> Server:
    return Server()


async def test_who_has_a_token_may_what_rbac_says_of_the_path(server: Server) -> None:
    assert await server.bearers.find("Bearer good", "post") == Bearer(ROUTER, may=True)
    assert await server.bearers.find("Bearer good", "get") == Bearer(ROUTER, may=False, everywhere=False)
    assert server.asked == [
        "good",
        {"path": "/loads/1", "verb": "post"},
        "good",
        {"path": "/loads/1", "verb": "get"},
    ]


async def test_a_service_account_may_what_rbac_says_of_its_namespace(server: Server) -> None:
    assert await server.bearers.find("Bearer own", "post") == Bearer(OWN, may=True, everywhere=False)
    assert await server.bearers.find("Bearer own", "get") == Bearer(OWN, may=False, everywhere=False)
    asked = {"namespace": "shimmy-a", "verb": "create", "group": "shimmy.dev"}
    assert server.asked == [
        "own",
        {"path": "/loads/1", "verb": "post"},
        asked | {"resource": "shimmyinstances", "subresource": "load"},
        "own",
        {"path": "/loads/1", "verb": "get"},
    ]


@pytest.mark.parametrize(("user", "namespace"), [(OWN, "shimmy-a"), (ROUTER, "")])
def test_the_namespace_of_a_user(user: User, namespace: str) -> None:
    assert Bearer(user, may=True).namespace == namespace


@pytest.mark.parametrize("header", ["bearer good", "BEARER  good "])
async def test_how_a_token_is_shown(server: Server, header: str) -> None:
    assert await server.bearers.find(header, "post")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "good", "Basic good", "Bearer g\udcf6"])
async def test_without_a_token_nobody_is_asked(server: Server, header: str) -> None:
    assert await server.bearers.find(header, "post") is None
    assert not server.asked


async def test_a_token_of_nobody(server: Server) -> None:
    assert await server.bearers.find("Bearer bad", "post") is None
    assert server.asked == ["bad"]


async def test_answers_are_believed_for_seconds(server: Server) -> None:
    for _ in range(3):
        await server.bearers.find("Bearer good", "post")
        await server.bearers.find("Bearer bad", "post")
    assert len(server.asked) == 3
    server.now = FRESH_SECONDS
    await server.bearers.find("Bearer good", "post")
    assert len(server.asked) == 5


async def test_tokens_are_not_kept(server: Server) -> None:
    await server.bearers.find("Bearer good", "post")
    assert "good" not in repr(list(server.bearers._beliefs._known))


@pytest.mark.parametrize(
    ("extra", "pod"),
    [(ROUTER.extra, "r0"), ((), None), ((("authentication.kubernetes.io/pod-name", ()),), None)],
)
def test_the_pod_of_a_token(extra: tuple[tuple[str, tuple[str, ...]], ...], pod: str | None) -> None:
    assert Bearer(User("router", extra=extra), may=True).pod == pod
