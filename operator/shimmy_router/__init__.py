"""The agent beside Envoy: watches the fleet's objects and tells Envoy which key may reach which pods."""
