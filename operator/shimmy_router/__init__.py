"""The agent beside Envoy: turns the fleet's objects and endpoints into xDS."""
