"""From the fleet to the resources that Envoy takes by xDS. Pure."""
