"""Clients that ask all the time, whole answers and streams, and what they see."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import anthropic
import httpx
import openai
from tests.dataplane.plane import chat

from devkit.bench.faults.seen import Client, Seen

PATH: Final = "/v1/chat/completions"
_WHOLE: Final = chat("[[tokens=8]] go on")
_STREAM: Final = chat("[[tokens=16]] go on", stream=True)
_MESSAGES: Final[Any] = _WHOLE["messages"]
_PAUSE_SECONDS: Final = 0.02
_PLAIN: Final = 2
"""Clients of each kind and key."""
_DONE: Final = b"data: [DONE]"

Ask = Callable[[], Seen]


@contextmanager
def load(url: str, keys: Sequence[str], routes: Mapping[int, int]) -> Iterator[list[Seen]]:
    """What was seen so far, while the context lasts.

    `routes` says to which router a connection went, by the client's port.
    """
    seen: list[Seen] = []
    stopped = threading.Event()

    def work(ask: Ask) -> None:
        while not stopped.is_set():
            seen.append(ask())
            stopped.wait(_PAUSE_SECONDS)

    with ExitStack() as stack:
        asks = [ask for key in keys for ask in _asks(stack, url, key, routes)]
        workers = stack.enter_context(ThreadPoolExecutor(len(asks)))
        running = [workers.submit(work, ask) for ask in asks]
        try:
            yield seen
        finally:
            stopped.set()
        for worker in running:
            worker.result()


def _asks(stack: ExitStack, url: str, key: str, routes: Mapping[int, int]) -> Iterator[Ask]:
    for _ in range(_PLAIN):
        for client in (Client.WHOLE, Client.STREAM):
            yield stack.enter_context(_Plain(url, key, routes, client)).ask
    of_openai, of_anthropic = _Ways(routes), _Ways(routes)
    one = openai.DefaultHttpxClient(trust_env=False, event_hooks=of_openai.hooks)
    other = anthropic.DefaultHttpxClient(trust_env=False, event_hooks=of_anthropic.hooks)
    yield _by_library(stack.enter_context(openai.OpenAI(base_url=f"{url}/v1", api_key=key, http_client=one)), of_openai)
    yield _by_library(
        stack.enter_context(anthropic.Anthropic(base_url=url, api_key=key, http_client=other)), of_anthropic
    )


class _Ways:
    """Which routers the tries of a client's request went to. A client has one connection."""

    def __init__(self, routes: Mapping[int, int]) -> None:
        self._routes = routes
        self._tries: list[int] = [0]
        """This end of the connection of each try."""

    @property
    def hooks(self) -> dict[str, list[Callable[[httpx.Request], None]]]:
        """For the client."""
        return {"request": [self._follow]}

    def _follow(self, request: httpx.Request) -> None:
        """Note a try, which takes the connection that is there, if it is."""
        self._tries.append(self._tries[-1])
        request.extensions["trace"] = self._trace

    def taken(self) -> tuple[int, ...]:
        """Ports of the routers since the last call."""
        *_, last = tries = self._tries[1:]
        self._tries = [last]
        return tuple(self._routes.get(port, 0) for port in tries)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._tries[-1] = info["return_value"].get_extra_info("client_addr")[1]


class _Plain:
    """A client that keeps its connection, and never tries again."""

    def __init__(self, url: str, key: str, routes: Mapping[int, int], client: Client) -> None:
        headers = {"authorization": f"Bearer {key}"}
        self._ways = _Ways(routes)
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=60, trust_env=False, event_hooks=self._ways.hooks
        )
        self._client = client

    def ask(self) -> Seen:
        """Send one request and read to the end of its answer."""
        began, pod, failure = time.monotonic(), "", ""
        body = _STREAM if self._client is Client.STREAM else _WHOLE
        try:
            with self._http.stream("POST", PATH, json=body) as response:
                pod = response.headers.get("x-shimmy-pod", "")
                text = response.read()
                if not response.is_success:
                    pod, failure = "", f"{response.status_code} {text.decode()}"
                elif self._client is Client.STREAM and not text.rstrip().endswith(_DONE):
                    failure = f"a stream that ends with {text[-200:].decode()}"
        except httpx.HTTPError as error:
            failure = repr(error)
        return Seen(self._client, began, time.monotonic(), self._ways.taken(), pod, failure)

    def __enter__(self) -> "_Plain":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


def _by_library(client: openai.OpenAI | anthropic.Anthropic, ways: _Ways) -> Ask:
    def send() -> None:
        if isinstance(client, openai.OpenAI):
            client.chat.completions.create(model="m", messages=_MESSAGES)
        else:
            client.messages.create(model="m", max_tokens=64, messages=_MESSAGES)

    def ask() -> Seen:
        began, failure = time.monotonic(), ""
        try:
            send()
        except (openai.APIError, anthropic.APIError) as error:
            failure = repr(error)
        return Seen(Client.RETRYING, began, time.monotonic(), ways.taken(), failure=failure)

    return ask
