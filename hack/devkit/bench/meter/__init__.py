"""`hack/bench meter`: what the metrics server needs for a large fleet."""
