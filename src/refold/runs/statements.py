"""The statements of a run store, one text each for every database."""

from __future__ import annotations

from refold.runs.database import BLOCK_RUN_COLUMNS, upsert

RUN_COLUMNS = (
    "number",
    "id",
    "project",
    "pipeline_uuid",
    "status",
    "created_at",
    "started_at",
    "completed_at",
    "variables",
    "options",
    "summary",
    "lease_owner",
    "lease_expires_at",
)
_NUMBER = "(SELECT number FROM run WHERE id = ?)"

CREATE_RUN = """
INSERT INTO run (id, project, pipeline_uuid, status, created_at, lease_token, variables, options, summary)
VALUES (?, ?, ?, ?, ?, 0, ?, ?, '{}') ON CONFLICT (id) DO NOTHING
"""
RUN_NUMBER = "SELECT number FROM run WHERE id = ?"
GET_RUN = f"SELECT {', '.join(RUN_COLUMNS)} FROM run WHERE id = ?"

_BETWEEN = "pipeline_uuid = ? AND created_at BETWEEN ? AND ? ORDER BY created_at DESC, id DESC"
RUNS_BETWEEN = f"SELECT {', '.join(RUN_COLUMNS)} FROM run WHERE {_BETWEEN}"
RUNS_OF_PROJECT_BETWEEN = f"SELECT {', '.join(RUN_COLUMNS)} FROM run WHERE project = ? AND {_BETWEEN}"

ACQUIRE = """
UPDATE run SET lease_token = lease_token + 1, lease_owner = ?, lease_expires_at = ?,
  status = 'running', started_at = ?, completed_at = NULL
WHERE id = ? AND (lease_owner IS NULL OR lease_owner = ? OR lease_expires_at <= ?)
"""
LEASE_TOKEN = "SELECT lease_token FROM run WHERE id = ?"
LEASE_OWNER = "SELECT lease_owner FROM run WHERE id = ?"
STEAL = "UPDATE run SET lease_owner = NULL, lease_expires_at = NULL WHERE id = ? AND lease_owner = ?"
RENEW = """
UPDATE run SET lease_expires_at = ?, summary = COALESCE(?, summary)
WHERE id = ? AND lease_token = ? AND lease_owner = ?
"""
CHECK_LEASE = "UPDATE run SET lease_token = lease_token WHERE id = ? AND lease_token = ? AND lease_owner = ?"
"""Changes nothing, and keeps others from changing the lease until the transaction ends."""
FINISH = """
UPDATE run SET status = ?, completed_at = ?, summary = COALESCE(?, summary), lease_owner = NULL, lease_expires_at = NULL
WHERE id = ? AND lease_token = ? AND lease_owner = ?
"""
IS_FINISHED = """
SELECT 1 FROM run WHERE id = ? AND lease_token = ? AND lease_owner IS NULL AND status = ? AND completed_at = ?
"""

BLOCK_NUMBERS = "SELECT uuid, number FROM block WHERE run = ?"
BLOCK_SNAPSHOTS = "SELECT snapshot FROM block WHERE run = ? ORDER BY position"
BLOCKS_IN_ORDER = f"SELECT run, number, uuid FROM block WHERE run = {_NUMBER} ORDER BY position"
PUT_BLOCK = upsert("block", ("run", "number"), ("position", "uuid", "snapshot"))
DROP_BLOCK = tuple(
    f"DELETE FROM {table} WHERE run = ? AND {column} = ?"
    for table, column in (
        ("block", "number"),
        ("block_run", "block"),
        ("failure", "block"),
        ("items", "block"),
        ("fold", "block"),
    )
)

PUT_CHUNK = upsert("chunk", ("run", "chunk"), ("segment", "byte_offset", "byte_length"))
PUT_ITEMS = upsert(
    "items", ("run", "block", "key", "start"), ("count", "chunk", "first", "named", "fingerprints", "waits")
)
PUT_FAILURE = upsert("failure", ("run", "block", "key"), ("error", "kind", "traceback"))
PUT_FOLD = upsert("fold", ("run", "block", "levels", "outer_key", "folded"), ("digest", "chunk", "position"))
FAILED_KEYS = "SELECT key FROM failure WHERE run = ? AND block = ? LIMIT ?"

_BLOCK_RUN = ", ".join(f"block_run.{column}" for column in ("key", *BLOCK_RUN_COLUMNS))
_ITEMS = "CAST(? AS TEXT), key, start, count, chunk, first, named, fingerprints, waits"
_FAILURE = "CAST(? AS TEXT), key, error, kind, traceback"
_BY_UUID = f"run = {_NUMBER} AND block = (SELECT number FROM block WHERE run = {_NUMBER} AND uuid = ?)"
BLOCK_RUNS = f"SELECT {_BLOCK_RUN} FROM {{table}} WHERE run = ? AND block = ?{{condition}} ORDER BY key"
"""Of one block: `{table}` is block_run, or its name for reading what is not completed; `{condition}` is on statuses."""
BLOCK_RUN = f"SELECT {_BLOCK_RUN} FROM block_run WHERE {_BY_UUID} AND key = ?"
FAILURES = f"SELECT {_FAILURE} FROM failure WHERE run = ? AND block = ? ORDER BY key"
FAILURE = f"SELECT {_FAILURE} FROM failure WHERE {_BY_UUID} AND key = ?"
ITEMS = f"SELECT {_ITEMS} FROM items WHERE {_BY_UUID} ORDER BY key, start"
ITEMS_OF_RUN = f"SELECT {_ITEMS} FROM items WHERE {_BY_UUID} AND key = ? ORDER BY start"
FOLDS = f"""
SELECT CAST(? AS TEXT), levels, outer_key, folded, digest, chunk, position FROM fold
WHERE {_BY_UUID} ORDER BY levels, outer_key, folded
"""
CACHED = f"""
SELECT (SELECT id FROM run WHERE number = block_run.run), {_BLOCK_RUN} FROM block_run
WHERE fingerprint = ? AND fingerprint IS NOT NULL AND status IN (2, 3) AND block = (
  SELECT block.number FROM block JOIN run ON run.number = block.run
  WHERE block.run = block_run.run AND block.uuid = ? AND run.project = ? AND run.pipeline_uuid = ?
    AND run.id <> ?
) ORDER BY run DESC, block DESC, key DESC LIMIT 1
"""
"""The newest completed block run of a fingerprint: the index block_run_cached, whose own words this repeats, is read
backwards to the first row that fits. A join would leave another order of reading to the database."""
CHUNKS = f"SELECT chunk, segment, byte_offset, byte_length FROM chunk WHERE run = {_NUMBER} ORDER BY chunk"
FAILURE_GROUPS = f"""
SELECT kind, total, error, uuid, key FROM (
  SELECT kind, error, uuid, key, position,
    count(*) OVER (PARTITION BY kind) AS total,
    row_number() OVER (PARTITION BY kind ORDER BY position, key) AS place,
    first_value(position) OVER (PARTITION BY kind ORDER BY position, key) AS first_position,
    first_value(key) OVER (PARTITION BY kind ORDER BY position, key) AS first_key
  FROM failure JOIN block ON block.run = failure.run AND block.number = failure.block
  WHERE failure.run = {_NUMBER}
) AS ranked WHERE place <= ? ORDER BY total DESC, first_position, first_key, place
"""

REQUEST = "INSERT INTO request (run, control, requested_at) SELECT number, ?, ? FROM run WHERE id = ?"
REQUESTS = f"SELECT control FROM request WHERE run = {_NUMBER} ORDER BY number"
CLEAR_REQUESTS = f"DELETE FROM request WHERE run = {_NUMBER}"

DELETE_RUN = "DELETE FROM run WHERE id = ?"
DELETE_OF_RUN = tuple(
    f"DELETE FROM {table} WHERE run = ?"
    for table in ("block", "block_run", "failure", "items", "fold", "chunk", "request")
)
