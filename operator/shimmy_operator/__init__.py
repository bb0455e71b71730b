"""Control plane: turns shimmy.dev objects into Kubernetes objects."""
