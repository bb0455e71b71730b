"""Finds models and adapters in folders: a thin edge that walks and reads, and pure cores that judge and name."""
