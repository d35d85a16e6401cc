-- Every query of the index. `-- name:` begins one, the comment below it says what it is for.

-- name: identity
-- Who writes here, and where its history stands.
SELECT installation, machine_id, instance, epoch, seq, digest, models, bytes FROM identity;

-- name: move_identity
-- The history has moved on.
UPDATE identity SET machine_id = :machine_id, instance = :instance, epoch = :epoch, seq = :seq, digest = :digest,
    models = :models, bytes = :bytes;

-- name: held
-- Everything that is held, by path.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, autov3, evidence, against, verified_at
FROM held ORDER BY file;

-- name: held_at
-- What is held at the paths of a JSON list.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, autov3, evidence, against, verified_at
FROM held WHERE file IN (SELECT value FROM json_each(:files));

-- name: held_with_digest
-- Files with one of these digests; NULL for those that were not asked for. AutoV2 is how a SHA-256 begins.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, autov3, evidence, against, verified_at
FROM held WHERE sha256 = :sha256 OR blake3 = :blake3 OR md5 = :md5 OR autov3 = :autov3
    OR (sha256 >= :autov2 AND sha256 < :autov2 || 'g')
ORDER BY file;

-- name: held_in_slot
-- Files that a model for this slot would collide with.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, autov3, evidence, against, verified_at
FROM held WHERE slot = :slot AND category = :category ORDER BY file;

-- name: held_unhashed
-- Files whose SHA-256 nobody knows, small before large.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, autov3, evidence, against, verified_at
FROM held WHERE sha256 IS NULL ORDER BY size, file LIMIT :limit;

-- name: put_held
-- A file as it is now, in the place of what was known of it.
INSERT INTO held (file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, autov3, evidence, against,
    verified_at, category, slot)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (file) DO UPDATE SET root = excluded.root, folder = excluded.folder, name = excluded.name,
    device = excluded.device, inode = excluded.inode, size = excluded.size, mtime_ns = excluded.mtime_ns,
    sha256 = excluded.sha256, blake3 = excluded.blake3, md5 = excluded.md5, autov3 = excluded.autov3,
    evidence = excluded.evidence, against = excluded.against, verified_at = excluded.verified_at,
    category = excluded.category, slot = excluded.slot;

-- name: drop_held
-- A file is gone.
DELETE FROM held WHERE file = ?;

-- name: put_outbox
-- An event to deliver.
INSERT INTO outbox (epoch, seq, instance, at, digest, kind, data) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: outbox
-- The oldest events to deliver.
SELECT epoch, seq, instance, at, digest, kind, data FROM outbox ORDER BY epoch, seq LIMIT :limit;

-- name: outbox_size
-- Rows and bytes that wait.
SELECT count(*), coalesce(sum(length(data)), 0) FROM outbox;

-- name: drop_outbox_upto
-- Events up to this one, and all of earlier epochs, are delivered.
DELETE FROM outbox WHERE epoch < :epoch OR (epoch = :epoch AND seq <= :seq);

-- name: empty_outbox
-- A snapshot stands for whatever waited, or it waited under another machine's name.
DELETE FROM outbox;

-- name: note
-- What was noted under a key.
SELECT value FROM note WHERE key = :key;

-- name: put_note
-- Note a value under a key.
INSERT INTO note (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: drop_note
-- Forget a key.
DELETE FROM note WHERE key = :key;
