"""SQL blocks: a file with a query, or with statements, for a database."""
