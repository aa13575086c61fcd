"""Import paths of runs: starting them, and asking for them."""
