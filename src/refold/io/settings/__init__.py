"""Settings of connections: io_config.yaml, its profiles, and the expressions in it."""
