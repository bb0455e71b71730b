"""KubeAI in a cluster with a real node, installed by its own chart."""
