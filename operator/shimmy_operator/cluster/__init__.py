"""The Kubernetes API, as far as the operator needs it. Only this package talks to an API server."""
