"""The vocabulary of a model as GGUF metadata."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from gguf import TokenType
from tokenizers import Tokenizer

from shimmy_engine.convert.folder import read_json, read_optional_json
from shimmy_engine.convert.pretokenizer import recognise
from shimmy_engine.gguf_header import GgufError
from shimmy_engine.tokenizer import PromptTokenizer

_SAMPLES: Final = (
    "What is the capital of France?",
    "def f(x):\n    return x**2\n\n\n\tprint(f(30000))",
    "don't WE'VE I'll",
    "  12345 678.9e-10  ",
    "Grüße, 日本語 🎉 مرحبا नमस्ते\r\n",
)
"""In normal form C, in which a normaliser to it changes nothing."""
_ENDS: Final = ("eos_token_id", "eot_token_id", "eom_token_id")
"""Keys of the tokens that end an answer; engines treat them alike."""


def read_vocabulary(folder: Path, size: int, config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys tokenizer.* for the model in `folder`, whose embedding has `size` rows.

    Raises:
        GgufError: FileMissing, or Unsupported where the engines would tokenise a text in another way.
    """
    content = read_json(folder / "tokenizer.json")
    settings = read_optional_json(folder / "tokenizer_config.json") or {}
    generation = read_optional_json(folder / "generation_config.json") or {}
    metadata: dict[str, Any] = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": recognise(content)}
    tokenizer = _load(content)
    metadata |= _tokens(content, size)
    metadata |= _special_ids(settings, (generation, config), tokenizer)
    metadata |= _start(tokenizer)
    template = _template(folder, settings)
    if template:
        metadata["tokenizer.chat_template"] = template
    _compare(tokenizer, metadata)
    return metadata


def _load(content: Mapping[str, Any]) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # the library raises nothing more special
        raise GgufError("Unsupported", f"tokenizer.json cannot be read: {error}") from error


def _tokens(content: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Texts, types and merges. Rows of the embedding without a token get a placeholder that no text becomes."""
    model = content["model"]
    by_id: dict[int, tuple[str, TokenType]] = {
        index: (text, TokenType.NORMAL) for text, index in model["vocab"].items()
    }
    for token in content.get("added_tokens") or ():
        kind = TokenType.CONTROL if token.get("special") else TokenType.USER_DEFINED
        if token.get("lstrip") or token.get("rstrip") or token.get("single_word"):
            raise GgufError("Unsupported", f"tokenizer.json: token {token['content']!r} swallows spaces around it")
        by_id[token["id"]] = (token["content"], kind)
    highest = max(by_id, default=-1)
    if highest >= size:
        raise GgufError("Unsupported", f"tokenizer.json has a token {highest}, but the embedding has {size} rows")
    tokens = [by_id.get(index, (f"[PAD{index}]", TokenType.UNUSED)) for index in range(size)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model.get("merges") or ()]
    if not merges:
        raise GgufError("Unsupported", "tokenizer.json has no merges")
    return {
        "tokenizer.ggml.tokens": [text for text, _ in tokens],
        "tokenizer.ggml.token_type": [int(kind) for _, kind in tokens],
        "tokenizer.ggml.merges": merges,
    }


def _special_ids(
    settings: Mapping[str, Any], configs: Iterable[Mapping[str, Any]], tokenizer: Tokenizer
) -> dict[str, int]:
    """Beginning, padding and the ends: the tokenizer's own first, then what the model was trained to end with."""
    configs = tuple(configs)
    found = {}
    for key in ("bos_token", "pad_token", "unk_token"):
        ids = _ids(settings, configs, tokenizer, key)
        if ids:
            name = key.replace("pad_token", "padding_token").replace("unk_token", "unknown_token")
            found[f"tokenizer.ggml.{name}_id"] = ids[0]
    ends = _ids(settings, configs, tokenizer, "eos_token")
    if not ends:
        raise GgufError("Unsupported", "no file says which token ends an answer (eos_token)")
    if len(ends) > len(_ENDS):
        raise GgufError("Unsupported", f"{len(ends)} tokens end an answer; a GGUF file can name {len(_ENDS)}")
    return found | {f"tokenizer.ggml.{key}": end for key, end in zip(_ENDS, ends, strict=False)}


def _ids(
    settings: Mapping[str, Any], configs: Iterable[Mapping[str, Any]], tokenizer: Tokenizer, key: str
) -> list[int]:
    named = settings.get(key)
    text = named.get("content") if isinstance(named, dict) else named
    known = [tokenizer.token_to_id(text)] if isinstance(text, str) else []
    for config in configs:
        value = config.get(f"{key}_id")
        known += value if isinstance(value, list) else [value]
    inside = [index for index in known if isinstance(index, int) and tokenizer.id_to_token(index) is not None]
    return list(dict.fromkeys(inside))


def _start(tokenizer: Tokenizer) -> dict[str, Any]:
    """Which token starts every text, by what the tokenizer does with one."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    full = tokenizer.encode("a").ids
    if full == plain:
        return {"tokenizer.ggml.add_bos_token": False}
    if full[1:] == plain:
        return {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.bos_token_id": full[0]}
    raise GgufError("Unsupported", "tokenizer.json adds more to a text than one token at its start")


def _template(folder: Path, settings: Mapping[str, Any]) -> str:
    """The chat template: a file of its own (transformers 4.50 and newer) or a setting; the default one of several."""
    try:
        return (folder / "chat_template.jinja").read_text()
    except FileNotFoundError:
        found = settings.get("chat_template") or ""
    if isinstance(found, list):
        return next((str(part["template"]) for part in found if part.get("name") == "default"), "")
    return str(found)


def _compare(tokenizer: Tokenizer, metadata: dict[str, Any]) -> None:
    """Count some texts with both, special tokens among them."""
    counted = PromptTokenizer(metadata)
    special = metadata["tokenizer.ggml.tokens"][metadata["tokenizer.ggml.eos_token_id"]]
    for text in (*_SAMPLES, f"a{special}\nb"):
        ours, theirs = counted.count(text), len(tokenizer.encode(text).ids)
        if ours != theirs:
            message = f"the engines would read {ours} tokens in {text!r}, where tokenizer.json has {theirs}"
            raise GgufError("Unsupported", message)
