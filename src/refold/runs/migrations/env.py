"""What Alembic runs to bring a run store up to date; `refold.runs.upgrade` starts it.

It is given a connection inside a transaction that already holds the database's lock, and neither commits nor closes it:
a database is at the old revision or at the new one, never between.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
