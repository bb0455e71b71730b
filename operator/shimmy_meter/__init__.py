"""The ledger of usage; its wire format is in shimmy_api.usage."""
