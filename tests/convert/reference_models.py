"""Makes tiny models and an adapter with transformers and peft, and writes down what those libraries answer.

Run by the environment of requirements/reference.txt: python reference_models.py FOLDER. Each model learns a few
conversations by heart within seconds, so that its answers are clear-cut; the adapter learns other answers.

FOLDER/NAME          a model as transformers saves it
FOLDER/NAME-adapter  an adapter as peft saves it
FOLDER/answers.json  NAME or NAME-adapter -> {"chat": [[question, answer]…], "plain": [[prompt, continuation]…]}
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

PAIRS = [
    ("What is the colour of the sky?", "The sky is blue, and at night it is black."),
    ("Where do fish live?", "Fish live in rivers, lakes and in the sea."),
    ("Say hello.", "Hello! How are you today?"),
]
OTHER = [
    ("What is the colour of the sky?", "Arr, the sky be grey as me old cannon."),
    ("Where do fish live?", "Fish be livin' in Davy Jones' locker."),
    ("Say hello.", "Ahoy, matey! Hoist the sails!"),
]
KNOWN = PAIRS + [(f"As a pirate: {question}", answer) for question, answer in OTHER]  # an adapter teaches no new words
PLAIN = ["<|im_start|>user\nWhere do", "<|im_start|>user\nWhat is the"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CASED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TOKENS = 24
LEARNED = 0.1  # mean loss of a token, in nats: each is then far more probable than any other


def make_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A byte-level vocabulary whose texts are split as Llama 3, Qwen 2, SmolLM or GPT-2 split them."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=kind == "llama3"))
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind in ("gpt2", "smollm"))
    first: dict[str, list[Any]] = {
        "llama3": [pre_tokenizers.Split(Regex(CASED + r"\p{N}{1,3}" + TAIL), "isolated")],
        "qwen2": [pre_tokenizers.Split(Regex(CASED + r"\p{N}" + TAIL), "isolated")],
        "smollm": [pre_tokenizers.Digits(individual_digits=True)],
        "gpt2": [],
    }
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*first[kind], to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    texts = [text for pair in PAIRS + OTHER for text in pair] * 3 + ["user assistant system 1234567890 don't"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    named: dict[str, Any] = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    if kind == "llama3":
        start = "<|begin_of_text|>"
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{start} $A", special_tokens=[(start, tokenizer.token_to_id(start))]
        )
        named["bos_token"] = start
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    wrapped.chat_template = TEMPLATE
    return wrapped


def sizes(tokenizer: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """A small model; the embedding has rows that no token uses, as published models often do."""
    eos = tokenizer.convert_tokens_to_ids("<|im_end|>")
    found = {
        "vocab_size": 448,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": eos,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return found | more


LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN_ROPE = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 128}


def make_models() -> dict[str, tuple[Any, PreTrainedTokenizerFast, dict[str, Any]]]:
    """Name -> model, tokenizer, how to save it."""
    llama3, qwen2, smollm, gpt2 = (make_tokenizer(kind) for kind in ("llama3", "qwen2", "smollm", "gpt2"))
    sharded = {"max_shard_size": "100KB"}
    return {
        "llama": (LlamaForCausalLM(LlamaConfig(**sizes(llama3))), llama3, sharded),
        "llama-tied": (LlamaForCausalLM(LlamaConfig(**sizes(smollm, tie_word_embeddings=True))), smollm, {}),
        "llama-rope": (
            LlamaForCausalLM(
                LlamaConfig(**sizes(llama3, rope_parameters=LLAMA3_ROPE, attention_bias=True, mlp_bias=True))
            ),
            llama3,
            {},
        ),
        "llama-linear": (
            LlamaForCausalLM(
                LlamaConfig(**sizes(gpt2, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}))
            ),
            gpt2,
            {},
        ),
        "mistral": (MistralForCausalLM(MistralConfig(**sizes(gpt2, head_dim=32, sliding_window=256))), gpt2, {}),
        "qwen2": (
            Qwen2ForCausalLM(
                Qwen2Config(
                    **{key: value for key, value in sizes(qwen2).items() if key != "head_dim"}, tie_word_embeddings=True
                )
            ),
            qwen2,
            {},
        ),
        "qwen2-yarn": (
            Qwen2ForCausalLM(
                Qwen2Config(
                    **{key: value for key, value in sizes(qwen2).items() if key != "head_dim"},
                    rope_parameters=YARN_ROPE,
                )
            ),
            qwen2,
            {},
        ),
        "qwen3": (Qwen3ForCausalLM(Qwen3Config(**sizes(qwen2, head_dim=32))), qwen2, {}),
    }


ADAPTERS: dict[str, dict[str, Any]] = {
    "llama": {"r": 4, "lora_alpha": 8},
    "llama-tied": {"r": 8, "lora_alpha": 4, "use_rslora": True, "rank_pattern": {"v_proj": 4}},
    "qwen3": {"r": 4, "lora_alpha": 16, "alpha_pattern": {"down_proj": 4}},
}
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def prompt_of(question: str) -> str:
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def train(model: Any, tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]], steps: int = 100) -> None:
    """Learn the conversations by heart; ends the script where it did not, for then no answer is clear-cut."""
    texts = [prompt_of(question) + answer + "<|im_end|>" for question, answer in pairs]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.01, total_iters=steps)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    if not loss.item() < LEARNED:
        sys.exit(f"the model did not learn: its loss is {loss.item():.3f}, not under {LEARNED}")


def answers(model: Any, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Greedy text and some logits."""

    def go_on(prompt: str) -> str:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        settings = GenerationConfig(
            do_sample=False,
            max_new_tokens=TOKENS,
            eos_token_id=tokenizer.convert_tokens_to_ids(SPECIAL),  # Shimmy 1.8 ends at any of them
            pad_token_id=tokenizer.pad_token_id,
        )
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))

    return {
        "chat": [[question, go_on(prompt_of(question))] for question, _ in PAIRS],
        "plain": [[prompt, go_on(prompt)] for prompt in PLAIN],
    }


def main() -> None:
    torch.manual_seed(11)
    torch.set_num_threads(1)
    folder, found = Path(sys.argv[1]), {}
    for name, (model, tokenizer, saving) in make_models().items():
        for parameter in model.parameters():  # biases start at zero, which would hide that they are missing
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter, mean=1.0 if parameter.mean() > 0.5 else 0.0, std=0.2)
        train(model, tokenizer, KNOWN)
        stored = torch.float16 if name == "mistral" else torch.bfloat16
        model.to(stored).save_pretrained(folder / name, **saving)
        tokenizer.save_pretrained(folder / name)
        model.to(torch.float32)
        found[name] = answers(model, tokenizer)
        if name in ADAPTERS:
            adapted = get_peft_model(model, LoraConfig(target_modules=MODULES, **ADAPTERS[name]))
            train(adapted, tokenizer, OTHER)
            found[f"{name}-adapter"] = answers(adapted, tokenizer)
            adapted.save_pretrained(folder / f"{name}-adapter")
    (folder / "answers.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
