"""`hack/bench fleet`: what a large fleet costs the router, and how fast a change of it serves."""
