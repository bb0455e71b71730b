"""KEDA with its HTTP add-on, as processes beside a cluster with a real node."""
