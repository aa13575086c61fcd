"""Import paths of secrets."""
