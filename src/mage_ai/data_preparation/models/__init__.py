"""Import paths of pipelines."""
