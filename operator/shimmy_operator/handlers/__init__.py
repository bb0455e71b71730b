"""From watch events to reconciliations: which object a change concerns, and when its turn comes."""
