"""Python SDK and command line for users of a fleet."""
