"""Secrets: kept encrypted, and shown to nobody."""
