"""Import paths of connectors and their configuration."""
