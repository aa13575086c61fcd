"""Import paths of triggers."""
