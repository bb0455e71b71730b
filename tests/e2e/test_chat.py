"""What a tenant's developer sees."""

import pytest
from openai import NotFoundError, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionStreamOptionsParam
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


def test_openais_own_client_works(fleet: Fleet, url: str) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": PROMPT}]
    with OpenAI(base_url=url, api_key=fleet.key(), max_retries=0) as client:
        create = client.chat.completions.create
        assert MODEL in [model.id for model in client.models.list()]
        whole = create(model=MODEL, messages=messages, max_tokens=16, temperature=0)
        text = whole.choices[0].message.content
        assert text
        assert "Paris" in text
        options = ChatCompletionStreamOptionsParam(include_usage=True)
        alias = "smollm2"
        streamed = create(
            model=alias, messages=messages, max_tokens=16, temperature=0, stream=True, stream_options=options
        )
        chunks = list(streamed)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
        assert chunks[-1].usage == whole.usage
        with pytest.raises(NotFoundError):
            create(model="nothing", messages=messages)
