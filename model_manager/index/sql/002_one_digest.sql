-- A file may be known by one of its full digests before the other: the table loses its check that both are there or none.
CREATE TABLE held_next (
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
INSERT INTO held_next (file, root, folder, name, category, slot, device, inode, size, mtime_ns, sha256, blake3,
    md5, autov3, evidence, against, verified_at)
SELECT file, root, folder, name, category, slot, device, inode, size, mtime_ns, sha256, blake3,
    md5, autov3, evidence, against, verified_at
FROM held;
DROP TABLE held;
ALTER TABLE held_next RENAME TO held;
CREATE INDEX held_sha256 ON held (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX held_blake3 ON held (blake3) WHERE blake3 IS NOT NULL;
CREATE INDEX held_md5 ON held (md5) WHERE md5 IS NOT NULL;
CREATE INDEX held_autov3 ON held (autov3) WHERE autov3 IS NOT NULL;
CREATE INDEX held_unhashed ON held (size, file) WHERE sha256 IS NULL;
CREATE INDEX held_slot ON held (slot, category);
