"""Shimmy 1.8's own table of chat templates, reproduced so that its prompts can be counted.

Source: `TemplateFamily` in src/templates.rs and `chat_completions` in src/openai_compat.rs of shimmy 1.8.1. That line
ignores the template inside a GGUF file. For a file given with --model-path it picks the family by the model's name.
"""

from typing import Literal

Family = Literal["chatml", "llama3", "openchat"]
Message = tuple[str, str]
"""Role and content."""

STEMS: dict[Family, str] = {"chatml": "model-chatglm", "llama3": "model-llama", "openchat": "model"}
"""A file stem for which Shimmy 1.8 picks the family: "qwen" or "chatglm" in it mean ChatML, "llama" means Llama 3."""


def family_of(chat_template: str) -> Family:
    """The family nearest to a GGUF file's own template (a Jinja text, or empty)."""
    if "<|im_start|>" in chat_template:
        return "chatml"
    if "<|start_header_id|>" in chat_template:
        return "llama3"
    return "openchat"


def family_by_name(model: str) -> Family:
    """The family that Shimmy 1.8 takes for a model given with --model-path (src/openai_compat.rs)."""
    lower = model.lower()
    if "qwen" in lower or "chatglm" in lower:
        return "chatml"
    return "llama3" if "llama" in lower else "openchat"


def render_chat(family: Family, messages: tuple[Message, ...]) -> str:
    """The prompt that Shimmy 1.8 makes of a conversation that ends with the user's message.

    The last message is set apart as `input`; what stands before it is the history.
    """
    *history, (_, question) = messages
    render = {"chatml": _chatml, "llama3": _llama3, "openchat": _openchat}[family]
    return render(history, question)


def _chatml(history: list[Message], question: str) -> str:
    turns = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in history)
    return f"{turns}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def _llama3(history: list[Message], question: str) -> str:
    def turn(role: str, content: str) -> str:
        return f"<|start_header_id|>{role}<|end_header_id|>\n{content}<|eot_id|>"

    turns = "".join(turn(role, content) for role, content in history)
    return f"{turns}{turn('user', question)}<|start_header_id|>assistant<|end_header_id|>\n"


def _openchat(history: list[Message], question: str) -> str:
    turns = "".join(f"{role}: {content}\n" for role, content in history)
    return f"{turns}user: {question}\nassistant: "
