"""Fetches models: whole and right, or not at all, from volumes, the web, S3, registries and Hugging Face."""
