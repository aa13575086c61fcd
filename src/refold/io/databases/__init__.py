"""Databases: rows go in and out as Arrow tables, through one port with an adapter a kind."""
