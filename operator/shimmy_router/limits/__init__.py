"""How much a tenant may ask, counted over all routers together. Pure: clocks and wires are the caller's."""
