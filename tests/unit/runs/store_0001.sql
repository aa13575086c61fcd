-- A store as the first version of its tables held it: one run, that failed.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE block (
	run INTEGER NOT NULL,
	number INTEGER NOT NULL,
	position INTEGER NOT NULL,
	uuid TEXT NOT NULL,
	snapshot TEXT NOT NULL,
	PRIMARY KEY (run, number),
	UNIQUE (run, uuid)
);
INSERT INTO "block" VALUES(1,0,0,'load','{"uuid":"load","name":"LOAD"}');
INSERT INTO "block" VALUES(1,1,1,'split','{"uuid":"split","name":"SPLIT"}');
INSERT INTO "block" VALUES(1,2,2,'a_fold','{"uuid":"a_fold","name":"A_FOLD"}');
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
	PRIMARY KEY (run, block, "key")
)
 WITHOUT ROWID;
INSERT INTO "block_run" VALUES(1,0,X'',2,1,1000.0,1000.125,0,7);
INSERT INTO "block_run" VALUES(1,1,X'00000000',2,1,1000.0,1000.125,0,7);
INSERT INTO "block_run" VALUES(1,1,X'00000001',4,1,1000.0,1000.125,NULL,NULL);
CREATE TABLE chunk (
	run INTEGER NOT NULL,
	chunk INTEGER NOT NULL,
	segment TEXT NOT NULL,
	byte_offset BIGINT NOT NULL,
	byte_length BIGINT NOT NULL,
	PRIMARY KEY (run, chunk)
)
 WITHOUT ROWID;
INSERT INTO "chunk" VALUES(1,0,'segment',0,9);
CREATE TABLE failure (
	run INTEGER NOT NULL,
	block INTEGER NOT NULL,
	"key" BLOB NOT NULL,
	error TEXT NOT NULL,
	kind TEXT NOT NULL,
	traceback TEXT NOT NULL,
	PRIMARY KEY (run, block, "key")
);
INSERT INTO "failure" VALUES(1,1,X'00000001','ValueError: no','ValueError: no','Traceback of (1,)
  ValueError: no');
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
	PRIMARY KEY (run, block, "key", start)
);
INSERT INTO "items" VALUES(1,1,X'',0,2,0,0,1,X'00FF35363738616200FF353637386162');
CREATE TABLE request (
	number INTEGER NOT NULL,
	run INTEGER NOT NULL,
	control TEXT NOT NULL,
	requested_at DOUBLE NOT NULL,
	PRIMARY KEY (number)
);
INSERT INTO "request" VALUES(1,1,'cancel',1000.0);
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
INSERT INTO "run" VALUES(1,'old-run','/home/me/project','pipeline','failed',1000.0,1000.0,1005.0,1,NULL,NULL,'{"day":"2024-01-01","nested":{"list":[1,2.5,null,true]}}','{"workers":4}','{"done":1}');
CREATE INDEX block_run_not_completed ON block_run (run, block, "key") WHERE status <> 2 AND status <> 3;
CREATE INDEX request_run ON request (run);
CREATE INDEX run_created ON run (created_at, id);
CREATE INDEX run_pipeline ON run (project, pipeline_uuid, created_at, id);
COMMIT;
