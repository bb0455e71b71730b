"""Conversion to GGUF: Hugging Face safetensors with or without a PEFT adapter, and PEFT adapters alone."""
