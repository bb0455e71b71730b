"""Owns one Shimmy process: starts it, knows when it is ready, passes it one request at a time, counts, drains."""
