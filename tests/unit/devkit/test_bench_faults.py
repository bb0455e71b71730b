"""What the benchmark of faults explains by a fault, and what not: without these it could pass whatever happened."""

import pytest

from devkit.bench.faults.seen import Client, Fault, Seen, count

POD = Fault(10.0, 15.0, pod="a")
ROUTER = Fault(10.0, 15.0, router=1, left=11.0)
ROLL = Fault(10.0, 15.0)


def seen(
    client: Client = Client.WHOLE,
    *,
    began: float = 9.0,
    ended: float = 10.1,
    routers: tuple[int, ...] = (1,),
    pod: str = "",
    failure: str = "x",
) -> Seen:
    return Seen(client, began, ended, routers, pod, failure)


def test_answers_are_no_failures() -> None:
    found = count([seen(failure="", pod="a"), seen(Client.STREAM, failure="", pod="a")], [POD])
    assert (found.requests, found.streams, found.failed, found.broken) == (2, 1, 0, 0)


def test_no_pods_death_explains_a_whole_answer_that_fails() -> None:
    assert count([seen(pod="a"), seen()], [POD]).failed == 2


def test_a_stream_that_never_began_is_a_failed_request() -> None:
    found = count([seen(Client.STREAM)], [POD])
    assert (found.failed, found.broken) == (1, 0)


@pytest.mark.parametrize(
    ("stream", "spared"),
    [
        (seen(Client.STREAM, pod="a"), 0),
        (seen(Client.STREAM, pod="b"), 1),
        (seen(Client.STREAM, pod="a", ended=9.5), 1),
        (seen(Client.STREAM, pod="a", began=10.5, ended=11.0), 1),
    ],
)
def test_a_pods_death_explains_the_streams_that_it_then_sent(stream: Seen, spared: int) -> None:
    found = count([stream], [POD])
    assert (found.broken, found.spared, found.failed) == (1, spared, 0)


@pytest.mark.parametrize(
    ("one", "in_flight", "refused"),
    [
        (seen(), 1, 0),
        (seen(began=10.5, ended=10.6), 0, 1),
        (seen(routers=(2,)), 0, 0),
        (seen(began=11.5, ended=11.6), 0, 0),
    ],
)
def test_a_routers_death_explains_what_was_sent_to_it_until_the_service_forgot_it(
    one: Seen, in_flight: int, refused: int
) -> None:
    found = count([one], [ROUTER])
    assert (found.in_flight, found.refused, found.failed) == (in_flight, refused, 1 - in_flight - refused)


def test_a_stream_is_not_spared_where_its_router_dies() -> None:
    found = count([seen(Client.STREAM, pod="b"), seen(Client.STREAM, pod="b", routers=(2,))], [ROUTER])
    assert (found.broken, found.spared, found.in_flight) == (2, 1, 1)


def test_nothing_explains_what_fails_in_a_rollout() -> None:
    found = count([seen(), seen(Client.STREAM, pod="a")], [ROLL])
    assert (found.failed, found.spared) == (1, 1)


@pytest.mark.parametrize(("routers", "failed", "unlucky"), [((1, 1, 1), 0, 1), ((1, 2, 1), 1, 0), ((2, 2, 2), 1, 0)])
def test_a_client_that_tries_again_is_unlucky_where_each_try_went_to_the_dead_router(
    routers: tuple[int, ...], failed: int, unlucky: int
) -> None:
    found = count([seen(Client.RETRYING, routers=routers)], [ROUTER])
    assert (found.requests, found.retrying, found.retrying_failed, found.unlucky) == (0, 1, failed, unlucky)
