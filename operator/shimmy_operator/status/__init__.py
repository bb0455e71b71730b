"""Status of the objects from what is seen of their children: pure functions."""
