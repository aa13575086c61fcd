"""Import paths of block code: decorators."""
