"""The load of models for autoscalers, and the ledger of usage; wire formats are shimmy_api.load and .usage."""
