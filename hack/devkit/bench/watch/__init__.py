"""`hack/bench watch`: what the router's agent needs to watch many pods."""
