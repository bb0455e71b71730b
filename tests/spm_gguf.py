"""A small real SentencePiece vocabulary, and a GGUF file with it and random weights, for both lines."""

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import sentencepiece
from numpy.typing import NDArray
from sentencepiece.sentencepiece_model_pb2 import ModelProto

_CORPUS = """\
The quick brown fox jumps over the lazy dog, and what is the capital of France? Paris is the capital of France.
def f(x):
    return x**2

        print(f(3)); import numpy as np
1234567890 678.9 0x7fff 1e-9 3.14159 2026-11-24
https://example.com/a?b=c&d=%20  don't can't I'll WE'VE
Be brief. system user assistant obey hello world hello   world
日本語のテキスト 中文 Ünïcödé naïve façade
"""
_SPECIAL = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_EMBEDDING, _HEADS, _CONTEXT, _SEED = 64, 2, 512, 7
_Q8 = gguf.GGMLQuantizationType.Q8_0


@cache
def vocabulary() -> tuple[list[str], list[float], list[int]]:
    """Tokens, scores and types (those of SentencePiece are GGUF's), with three special tokens at the end."""
    trained = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_CORPUS.splitlines()), model_writer=trained, model_type="bpe", vocab_size=480,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_by_whitespace=False, allow_whitespace_only_pieces=True, minloglevel=2, character_coverage=1.0,
    )  # fmt: skip
    model = ModelProto.FromString(trained.getvalue())
    tokens = [*(piece.piece for piece in model.pieces), *_SPECIAL]
    scores = [*(piece.score for piece in model.pieces), *([-1000.0] * len(_SPECIAL))]
    return tokens, scores, [*(int(piece.type) for piece in model.pieces), *([3] * len(_SPECIAL))]


def metadata(**changed: Any) -> dict[str, Any]:
    """The keys of the tokenizer; `changed` ones are named without their start."""
    tokens, scores, types = vocabulary()
    keys = {"model": "llama", "tokens": tokens, "scores": scores, "token_type": types} | changed
    return {f"tokenizer.ggml.{key}": value for key, value in keys.items()}


def write(path: Path) -> Path:
    """Write the file; returns its path."""
    tokens, scores, types = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(_CONTEXT)
    writer.add_block_count(1)
    writer.add_embedding_length(_EMBEDDING)
    writer.add_feed_forward_length(_EMBEDDING)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_EMBEDDING // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    random = np.random.default_rng(_SEED)
    _add(writer, "token_embd", random.standard_normal((len(tokens), _EMBEDDING)).astype(np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        _add(writer, f"blk.0.{name}", (random.standard_normal((_EMBEDDING, _EMBEDDING)) * 0.3).astype(np.float32))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(_EMBEDDING, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, name: str, values: NDArray[np.float32]) -> None:
    writer.add_tensor(f"{name}.weight", gguf.quants.quantize(values, _Q8), raw_dtype=_Q8)
