-- A fresh index, as of the newest migration. A test compares the two.

-- Who writes here, and where its history stands. One row; digest, models and bytes are running sums over `held`.
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    installation TEXT NOT NULL,
    machine_id TEXT NOT NULL DEFAULT '',
    instance TEXT NOT NULL DEFAULT '',
    epoch INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL DEFAULT 0,
    digest TEXT NOT NULL DEFAULT '00000000000000000000000000000000',
    models INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);
INSERT INTO identity (one, installation) VALUES (1, lower(hex(randomblob(16))));

-- One row for each file on a shelf; `category` and `slot` are ShelfPath.slot; device and inode are signed 64 bit.
-- Either of sha256 and blake3 may be known alone.
CREATE TABLE held (
    file TEXT NOT NULL UNIQUE,
    root TEXT NOT NULL,
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    slot TEXT NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT,
    blake3 TEXT,
    md5 TEXT,
    autov3 TEXT,
    evidence TEXT,
    against TEXT NOT NULL,
    verified_at TEXT NOT NULL
);
CREATE INDEX held_sha256 ON held (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX held_blake3 ON held (blake3) WHERE blake3 IS NOT NULL;
CREATE INDEX held_md5 ON held (md5) WHERE md5 IS NOT NULL;
CREATE INDEX held_autov3 ON held (autov3) WHERE autov3 IS NOT NULL;
CREATE INDEX held_unhashed ON held (size, file) WHERE sha256 IS NULL;
CREATE INDEX held_slot ON held (slot, category);

-- Events that Redis has not acknowledged, of this epoch and of earlier ones. All are of identity's machine.
CREATE TABLE outbox (
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    instance TEXT NOT NULL,
    at TEXT NOT NULL,
    digest TEXT NOT NULL,
    kind TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (epoch, seq)
);

-- Small things to remember: ids of roots, cursors.
CREATE TABLE note (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
