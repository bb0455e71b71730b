"""The objects that users write and the messages that two components exchange. Pure: no I/O."""
