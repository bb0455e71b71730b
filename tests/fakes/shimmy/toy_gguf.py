"""A GGUF file of a few kilobytes with a real byte-level vocabulary: enough for the runner to count tokens with.

usage: python -m tests.fakes.shimmy.toy_gguf FILE
"""

import sys
from pathlib import Path

import gguf
import numpy as np

CONTEXT = 2048
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_MERGES = ("h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "l d", "Ġwor ld")
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)


def write(path: Path, *, context: int = CONTEXT) -> Path:
    """Write the file; returns its path."""
    letters = _byte_letters()
    tokens = [*_SPECIAL, *letters, *(merge.replace(" ", "") for merge in _MERGES)]
    types = [3] * len(_SPECIAL) + [1] * (len(letters) + len(_MERGES))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context)
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(list(_MERGES))
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)
    weights = gguf.quants.quantize(np.zeros((len(tokens), 32), np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("token_embd.weight", weights, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _byte_letters() -> list[str]:
    """The printable letters that stand for the 256 bytes in GPT-2's vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
