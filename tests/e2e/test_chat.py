"""What a tenant's developer sees."""

from tests.e2e.pods import engines

from devkit.demo.chat import chat
from devkit.demo.fleet import MODEL, Fleet

PROMPT = "What is the capital of France?"


def test_a_streamed_chat_is_answered_and_counted(fleet: Fleet, url: str) -> None:
    answer = chat(url, fleet.key(), MODEL, PROMPT)
    assert "Paris" in answer.text
    assert answer.prompt_tokens > 0
    assert answer.completion_tokens > 0
    assert answer.pod in [pod["metadata"]["name"] for pod in engines(fleet)]
    assert answer.request_id
