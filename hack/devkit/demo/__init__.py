"""The demo: a fleet from nothing to a chat answer, on real parts."""
