-- The queries of what is held and what is told of it. `-- name:` begins one, the comment below it says what it is for.

-- name: identity
-- Who writes here, and where its history stands.
SELECT installation, machine_id, instance, epoch, seq, digest, models, bytes FROM identity;

-- name: move_identity
-- The history has moved on.
UPDATE identity SET machine_id = :machine_id, instance = :instance, epoch = :epoch, seq = :seq, digest = :digest,
    models = :models, bytes = :bytes;

-- name: held
-- Everything that is held, by path.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, crc32, tensor, evidence, against,
    verified_at
FROM held ORDER BY file;

-- name: held_at
-- What is held at the paths of a JSON list, and the contents.
SELECT content_id, file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, crc32, tensor, evidence,
    against, verified_at
FROM held WHERE file IN (SELECT value FROM json_each(:files));

-- name: held_with_digest
-- Files with one of these digests; NULL for those that were not asked for. AutoV2 is how a SHA-256 begins, AutoV3 how a
-- tensor hash does.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, crc32, tensor, evidence, against,
    verified_at
FROM held WHERE content_id IN (
    SELECT id FROM content WHERE sha256 = :sha256
    UNION SELECT id FROM content WHERE blake3 = :blake3
    UNION SELECT id FROM content WHERE md5 = :md5
    UNION SELECT id FROM content WHERE crc32 = :crc32
    UNION SELECT id FROM content WHERE tensor = :tensor
    UNION SELECT id FROM content WHERE tensor >= :autov3 AND tensor < :autov3 || 'g'
    UNION SELECT id FROM content WHERE sha256 >= :autov2 AND sha256 < :autov2 || 'g')
AND (sha256 = :sha256 OR blake3 = :blake3 OR md5 = :md5 OR crc32 = :crc32 OR tensor = :tensor
    OR (tensor >= :autov3 AND tensor < :autov3 || 'g') OR (sha256 >= :autov2 AND sha256 < :autov2 || 'g'))
ORDER BY file;

-- name: held_in_slot
-- Files that a model for this slot would collide with.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, crc32, tensor, evidence, against,
    verified_at
FROM held WHERE category = :category AND slot = :slot ORDER BY file;

-- name: held_unhashed
-- Files whose SHA-256 nobody knows, small before large.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, crc32, tensor, evidence, against,
    verified_at
FROM held WHERE sha256 IS NULL ORDER BY size, file LIMIT :limit;

-- name: held_twins
-- Files whose content has more digests than they know themselves, of the contents of the paths of a JSON list; with all
-- digests of the content.
SELECT l.file, d.path, l.folder, l.name, l.device, l.inode, l.size, l.mtime_ns, c.sha256, c.blake3, c.md5, c.crc32, c.tensor,
    l.evidence, l.against, l.verified_at
FROM location AS l JOIN content AS c ON c.id = l.content_id JOIN directory AS d ON d.id = l.directory_id
WHERE l.content_id IN (SELECT o.content_id FROM location AS o WHERE o.file IN (SELECT value FROM json_each(:files)))
    AND ((c.sha256 IS NOT NULL AND NOT l.knows & 1) OR (c.blake3 IS NOT NULL AND NOT l.knows & 2))
ORDER BY l.file;

-- name: put_location
-- A file as it is now, in the place of what was known of it. One that changed has to be described again.
INSERT INTO location (file, content_id, directory_id, folder, name, category, slot, base, device, inode, size, mtime_ns,
    knows, evidence, against, verified_at, first_seen)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (file) DO UPDATE SET content_id = excluded.content_id, directory_id = excluded.directory_id,
    folder = excluded.folder, name = excluded.name, category = excluded.category, slot = excluded.slot,
    base = excluded.base, device = excluded.device, inode = excluded.inode, size = excluded.size,
    mtime_ns = excluded.mtime_ns, knows = excluded.knows, evidence = excluded.evidence, against = excluded.against,
    verified_at = excluded.verified_at,
    trouble = CASE WHEN knows = excluded.knows AND verified_at = excluded.verified_at AND device = excluded.device
        AND inode = excluded.inode AND size = excluded.size AND mtime_ns = excluded.mtime_ns THEN trouble ELSE '' END,
    described = described AND device = excluded.device AND inode = excluded.inode AND size = excluded.size
        AND mtime_ns = excluded.mtime_ns;

-- name: last_names
-- The last row of names of a category.
SELECT id, some FROM names WHERE category = :category ORDER BY id DESC LIMIT 1;

-- name: put_names
-- A row of names, in the place of what was there; NULL for a new one.
INSERT INTO names (id, category, some) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET some = excluded.some;

-- name: new_subfolders
-- Of a JSON list of [category, path], those that are no subfolders yet.
SELECT json_extract(j.value, '$[0]') AS category, json_extract(j.value, '$[1]') AS path FROM json_each(:places) AS j
WHERE NOT EXISTS (SELECT 1 FROM subfolder AS s WHERE s.category = json_extract(j.value, '$[0]')
    AND s.path = json_extract(j.value, '$[1]'));

-- name: put_subfolder
-- A subfolder in which files lie.
INSERT INTO subfolder (category, path) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: last_subfolders
-- The last row of subfolders of a category.
SELECT id, some FROM subfolders WHERE category = :category ORDER BY id DESC LIMIT 1;

-- name: put_subfolders
-- A row of subfolders, in the place of what was there; NULL for a new one.
INSERT INTO subfolders (id, category, some) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET some = excluded.some;

-- name: empty_names
-- All names go, to be written anew.
DELETE FROM names;

-- name: empty_subfolders
-- All subfolders go, to be written anew.
DELETE FROM subfolder;

-- name: empty_rows_of_subfolders
-- So do their rows.
DELETE FROM subfolders;

-- name: slots
-- Where every file stands.
SELECT category, slot FROM location ORDER BY category, slot;

-- name: trouble
-- Why a file could not be read whole, unless it changed meanwhile; '' when it could.
UPDATE location SET trouble = ? WHERE file = ? AND device = ? AND inode = ? AND size = ? AND mtime_ns = ?;

-- name: drop_location
-- A file is gone.
DELETE FROM location WHERE file = ?;

-- name: mates
-- Files with these inode numbers (a JSON list), of any device, and their contents.
SELECT device, inode, size, mtime_ns, content_id FROM location WHERE inode IN (SELECT value FROM json_each(:inodes));

-- name: contents_of
-- Contents with these ids or digests (JSON lists).
SELECT id, sha256, blake3, md5, crc32, tensor FROM content WHERE id IN (SELECT value FROM json_each(:ids))
UNION SELECT id, sha256, blake3, md5, crc32, tensor FROM content WHERE sha256 IN (SELECT value FROM json_each(:sha256))
UNION SELECT id, sha256, blake3, md5, crc32, tensor FROM content WHERE blake3 IN (SELECT value FROM json_each(:blake3));

-- name: last_content
-- The highest id that a content ever had: none is given twice.
SELECT seq FROM sqlite_sequence WHERE name = 'content';

-- name: new_content
-- Bytes of which only the length is known.
INSERT INTO content (id, size) VALUES (?, ?);

-- name: learn_content
-- The digests of a content, as they are known now.
UPDATE content SET sha256 = ?, blake3 = ?, md5 = ?, crc32 = ?, tensor = ? WHERE id = ?;

-- name: move_locations
-- Two contents are the same bytes: the files of one are files of the other.
UPDATE location SET content_id = :into WHERE content_id = :other;

-- name: move_addresses
-- Two contents are the same bytes: what one can be had from, the other can.
INSERT INTO address (content_id, url, kind, data, learnt_at)
SELECT :into, url, kind, data, learnt_at FROM address WHERE content_id = :other
ON CONFLICT DO NOTHING;

-- name: move_claims
-- Two contents are the same bytes: hashes that were claimed for one are claimed for the other.
INSERT INTO claim (content_id, hex, algorithms, who, learnt_at)
SELECT :into, hex, algorithms, who, learnt_at FROM claim WHERE content_id = :other
ON CONFLICT DO NOTHING;

-- name: move_told
-- Two contents are the same bytes: of two words of one teller the later one counts.
INSERT INTO told (content_id, field, teller, rank, value, at)
SELECT :into, field, teller, rank, value, at FROM told WHERE content_id = :other
ON CONFLICT DO UPDATE SET value = excluded.value, at = excluded.at WHERE excluded.at > told.at;

-- name: move_previews
-- Two contents are the same bytes: they look the same.
INSERT INTO preview (content_id, path) SELECT :into, path FROM preview WHERE content_id = :other ON CONFLICT DO NOTHING;

-- name: move_quick
-- Two contents are the same bytes: they have one quick hash.
UPDATE content SET quick = coalesce(quick, (SELECT o.quick FROM content AS o WHERE o.id = :other)) WHERE id = :into;

-- name: drop_content
-- A content turned out to be another one.
DELETE FROM content WHERE id = ?;

-- name: forget_contents
-- Of the contents of a JSON list, those that nobody has read and that lie nowhere are nothing.
DELETE FROM content WHERE id IN (SELECT value FROM json_each(?)) AND sha256 IS NULL AND blake3 IS NULL
    AND NOT EXISTS (SELECT 1 FROM location AS l WHERE l.content_id = content.id);

-- name: remember_contents
-- Where a content lay that lies nowhere now.
UPDATE content SET last_file = ? WHERE id = ? AND NOT EXISTS (SELECT 1 FROM location AS l WHERE l.content_id = content.id);

-- name: put_outbox
-- An event to deliver.
INSERT INTO outbox (epoch, seq, instance, at, digest, kind, data) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: outbox
-- The oldest events to deliver, after one.
SELECT epoch, seq, instance, at, digest, kind, data FROM outbox WHERE (epoch, seq) > (:epoch, :seq)
ORDER BY epoch, seq LIMIT :limit;

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
