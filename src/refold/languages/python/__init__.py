"""Blocks written in Python."""
