"""A tiny model and an adapter as transformers and peft save them, made with numpy alone; their weights are random."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

HIDDEN, HEADS, KV_HEADS, FEED_FORWARD, VOCABULARY = 64, 4, 2, 96, 264
HEAD = HIDDEN // HEADS
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": FEED_FORWARD,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": 128,
    "vocab_size": VOCABULARY,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "hidden_act": "silu",
}
ADAPTER: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none"}
LAYER = "model.layers.0"
QUERY = f"{LAYER}.self_attn.q_proj"


def weights() -> dict[str, Any]:
    """All tensors of the model."""
    random = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
        f"{LAYER}.input_layernorm.weight": (HIDDEN,),
        f"{QUERY}.weight": (HIDDEN, HIDDEN),
        f"{LAYER}.self_attn.k_proj.weight": (KV_HEADS * HEAD, HIDDEN),
        f"{LAYER}.self_attn.v_proj.weight": (KV_HEADS * HEAD, HIDDEN),
        f"{LAYER}.self_attn.o_proj.weight": (HIDDEN, HIDDEN),
        f"{LAYER}.post_attention_layernorm.weight": (HIDDEN,),
        f"{LAYER}.mlp.gate_proj.weight": (FEED_FORWARD, HIDDEN),
        f"{LAYER}.mlp.up_proj.weight": (FEED_FORWARD, HIDDEN),
        f"{LAYER}.mlp.down_proj.weight": (HIDDEN, FEED_FORWARD),
        "model.norm.weight": (HIDDEN,),
        "lm_head.weight": (VOCABULARY, HIDDEN),
    }
    return {name: random.standard_normal(shape).astype(ml_dtypes.bfloat16) for name, shape in shapes.items()}


def tokenizer() -> Tokenizer:
    """The 256 bytes, one merge and three special tokens; text is split as GPT-2 does."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: index for index, text in enumerate([*letters, "he"])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[("h", "e")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    return made


def save_model(folder: Path, tensors: dict[str, Any] | None = None, **changed: Any) -> Path:
    """Write the model's folder; `changed` replaces settings of its config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors or weights(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG | changed))
    tokenizer().save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<|im_end|>", "chat_template": "<|im_start|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def pair(module: str, inputs: int, outputs: int, rank: int = 2) -> dict[str, Any]:
    """The two matrices of a module's adapter."""
    random = np.random.default_rng(5)
    return {
        f"base_model.model.{module}.lora_A.weight": random.standard_normal((rank, inputs)).astype(np.float32),
        f"base_model.model.{module}.lora_B.weight": random.standard_normal((outputs, rank)).astype(np.float32),
    }


def save_adapter(folder: Path, tensors: dict[str, Any] | None = None, **changed: Any) -> Path:
    """Write the adapter's folder; `changed` replaces settings of its adapter_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors or pair(QUERY, HIDDEN, HIDDEN), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(ADAPTER | changed))
    return folder
