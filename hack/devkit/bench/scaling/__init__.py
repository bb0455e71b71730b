"""`hack/bench scaling`: replicas over time under changing load, with a real autoscaler and simulated pods."""
