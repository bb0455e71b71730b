"""What this router tells the metrics server of the load of Deployments."""
