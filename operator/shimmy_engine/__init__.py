"""Runs one Shimmy process and makes it a well-behaved server."""
