"""How many pods there may and shall be: bounds, schedules, shares, decisions. Pure: no I/O and no clock."""
