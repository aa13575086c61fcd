"""What users call from Python and the command line calls: it turns settings into adapters, and runs pipelines."""
