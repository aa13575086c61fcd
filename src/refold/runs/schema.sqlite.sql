CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE block (
	run INTEGER NOT NULL,
	number INTEGER NOT NULL,
	position INTEGER NOT NULL,
	uuid TEXT NOT NULL,
	snapshot TEXT NOT NULL,
	PRIMARY KEY (run, number),
	UNIQUE (run, uuid)
);
CREATE TABLE block_run (
	run INTEGER NOT NULL,
	block INTEGER NOT NULL,
	"key" BLOB NOT NULL,
	status SMALLINT NOT NULL,
	attempts INTEGER NOT NULL,
	started_at DOUBLE,
	completed_at DOUBLE,
	chunk INTEGER,
	position INTEGER,
	digest BLOB,
	fingerprint BLOB,
	kept BOOLEAN DEFAULT 0 NOT NULL,
	PRIMARY KEY (run, block, "key")
)
 WITHOUT ROWID;
CREATE INDEX block_run_cached ON block_run (fingerprint, run, block, "key") WHERE fingerprint IS NOT NULL AND status IN (2, 3);
CREATE INDEX block_run_not_completed ON block_run (run, block, "key") WHERE status <> 2 AND status <> 3;
CREATE TABLE chunk (
	run INTEGER NOT NULL,
	chunk INTEGER NOT NULL,
	segment TEXT NOT NULL,
	byte_offset BIGINT NOT NULL,
	byte_length BIGINT NOT NULL,
	PRIMARY KEY (run, chunk)
)
 WITHOUT ROWID;
CREATE TABLE failure (
	run INTEGER NOT NULL,
	block INTEGER NOT NULL,
	"key" BLOB NOT NULL,
	error TEXT NOT NULL,
	kind TEXT NOT NULL,
	traceback TEXT NOT NULL,
	PRIMARY KEY (run, block, "key")
);
CREATE TABLE fold (
	run INTEGER NOT NULL,
	block INTEGER NOT NULL,
	levels INTEGER NOT NULL,
	outer_key BLOB NOT NULL,
	folded INTEGER NOT NULL,
	digest BLOB NOT NULL,
	chunk INTEGER NOT NULL,
	position INTEGER NOT NULL,
	PRIMARY KEY (run, block, levels, outer_key, folded)
)
 WITHOUT ROWID;
CREATE TABLE items (
	run INTEGER NOT NULL,
	block INTEGER NOT NULL,
	"key" BLOB NOT NULL,
	start INTEGER NOT NULL,
	count INTEGER NOT NULL,
	chunk INTEGER NOT NULL,
	first INTEGER NOT NULL,
	named BOOLEAN NOT NULL,
	fingerprints BLOB NOT NULL,
	waits TEXT,
	PRIMARY KEY (run, block, "key", start)
);
CREATE TABLE request (
	number INTEGER NOT NULL,
	run INTEGER NOT NULL,
	control TEXT NOT NULL,
	requested_at DOUBLE NOT NULL,
	PRIMARY KEY (number)
);
CREATE INDEX request_run ON request (run);
CREATE TABLE run (
	number INTEGER NOT NULL,
	id TEXT NOT NULL,
	project TEXT NOT NULL,
	pipeline_uuid TEXT NOT NULL,
	status TEXT NOT NULL,
	created_at DOUBLE NOT NULL,
	started_at DOUBLE,
	completed_at DOUBLE,
	lease_token INTEGER NOT NULL,
	lease_owner TEXT,
	lease_expires_at DOUBLE,
	variables TEXT NOT NULL,
	options TEXT NOT NULL,
	summary TEXT NOT NULL,
	PRIMARY KEY (number),
	UNIQUE (id)
);
CREATE INDEX run_created ON run (created_at, id);
CREATE INDEX run_pipeline ON run (project, pipeline_uuid, created_at, id);
