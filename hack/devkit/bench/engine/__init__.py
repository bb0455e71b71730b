"""`hack/bench engine`: what the runner costs beside Shimmy alone, and what it keeps under load and under kills."""
