"""Refold: data pipelines that unfold at runtime and fold back exactly."""
