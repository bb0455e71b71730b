"""Kubernetes objects from specs: pure functions that return manifests, and None where nothing is wanted."""
