"""Import paths of a project's settings."""
