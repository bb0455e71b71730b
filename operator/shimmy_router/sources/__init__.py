"""Where the agent learns of the fleet: an API server, or files. Each source fills a Store for ever."""
