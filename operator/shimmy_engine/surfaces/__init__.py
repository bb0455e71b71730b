"""The APIs that the runner speaks, one module each: parse a request into a Generation, write its answer. Pure."""
