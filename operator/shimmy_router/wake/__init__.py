"""Requests for models without a pod: how they are held, and how the models are woken."""
