"""Tokens of ServiceAccounts, which the real API server signs."""

from collections.abc import Iterator

import pytest
from tests.e2e.pods import used
from tests.e2e.tenants import change_demo, status

from devkit.demo.chat import chat
from devkit.demo.fleet import MODEL, TENANT, Fleet
from devkit.waiting import until

OK, UNAUTHORIZED = 200, 401
AUDIENCE = "shimmy"
ENTRY = "pods"


@pytest.fixture(scope="module")
def accounts(fleet: Fleet) -> None:
    for name in ("web", "stranger"):
        fleet.kubectl.run("create", "serviceaccount", name, "-n", "default")


@pytest.fixture
def accepted(fleet: Fleet, accounts: None) -> Iterator[None]:  # noqa: ARG001 - they must be there
    """The demo tenant accepts tokens of one of them."""
    values = ["system:serviceaccount:default:web"]
    change_demo(fleet, tokens=[{"name": ENTRY, "audience": AUDIENCE, "values": values}])
    yield
    change_demo(fleet, tokens=None)


def token(fleet: Fleet, account: str, *options: str) -> str:
    return fleet.kubectl.run("create", "token", account, "-n", "default", *options).strip()


@pytest.mark.usefixtures("accepted")
def test_a_workload_comes_in_with_its_own_token_and_is_counted_as_itself(fleet: Fleet, url: str) -> None:
    good = token(fleet, "web", f"--audience={AUDIENCE}")
    # The routers look for the issuer's keys once a minute, and find them when they start.
    until(lambda: status(url, good) == OK, "the token is accepted", seconds=90)
    answer = chat(url, good, MODEL, "Hello", max_tokens=4)
    record = used(fleet, answer.request_id)
    assert (record["tenant"], record["keyId"]) == (TENANT, ENTRY)

    wrong = [
        token(fleet, "web", "--audience=elsewhere"),
        token(fleet, "web", f"--audience={AUDIENCE}", "--audience=elsewhere"),
        token(fleet, "web"),
        token(fleet, "stranger", f"--audience={AUDIENCE}"),
    ]
    assert [status(url, each) for each in wrong] == [UNAUTHORIZED] * len(wrong)

    change_demo(fleet, tokens=None)
    until(lambda: status(url, good) == UNAUTHORIZED, "the token is refused", seconds=10)
