"""One streamed chat through the router, as a client without any library of ours would do it."""

import json
import sys
from dataclasses import dataclass

import httpx


class ChatError(Exception):
    """The router or the engine refused; the message is theirs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    pod: str
    request_id: str


def chat(base_url: str, key: str, model: str, prompt: str, *, max_tokens: int = 64, echo: bool = False) -> Answer:
    """Ask a model and read the answer as it is generated; `echo` prints it as it comes.

    Raises:
        ChatError: the router or the engine answered with an error, or the stream carried one.
    """
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"authorization": f"Bearer {key}"}
    pieces: list[str] = []
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    with httpx.stream("POST", f"{base_url}/chat/completions", json=body, headers=headers, timeout=300) as response:
        if response.status_code != httpx.codes.OK:
            raise ChatError(f"{response.status_code}: {response.read().decode()}")
        for line in response.iter_lines():
            data = line.removeprefix("data:").strip()
            if not line.startswith("data:") or data == "[DONE]":
                continue
            event = json.loads(data)
            if "error" in event:
                raise ChatError(event["error"]["message"])
            usage = event.get("usage") or usage
            for choice in event.get("choices", []):
                piece = choice["delta"].get("content") or ""
                pieces.append(piece)
                if echo:
                    sys.stdout.write(piece)
                    sys.stdout.flush()
        return Answer(
            text="".join(pieces),
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
            pod=response.headers.get("x-shimmy-pod", ""),
            request_id=response.headers.get("x-request-id", ""),
        )
