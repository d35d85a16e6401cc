-- The queries of what others know of contents, and of what is left to find out.

-- name: contents_at
-- The contents of the files of a JSON list, and the sizes of the files.
SELECT file, content_id, size FROM location WHERE file IN (SELECT value FROM json_each(:files));

-- name: put_address
-- Where a content can be had. What is known of it is not forgotten for less.
INSERT INTO address (content_id, url, kind, data, learnt_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET kind = excluded.kind, data = excluded.data WHERE excluded.data <> '{}' AND data <> excluded.data;

-- name: put_claim
-- A hash that somebody claims.
INSERT INTO claim (content_id, hex, algorithms, who, learnt_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: put_told
-- The word of a teller on a field. His later word counts.
INSERT INTO told (content_id, field, teller, rank, value, at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET value = excluded.value, at = excluded.at WHERE excluded.at >= at AND value <> excluded.value;

-- name: put_preview
-- A picture of what a model makes.
INSERT INTO preview (content_id, path) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: undescribed
-- Files whose sidecars and headers nobody has looked at as they are now, in the order they came; none of some directories
-- (a JSON list).
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, crc32, tensor, evidence, against,
    verified_at
FROM held WHERE id IN (SELECT l.id FROM location AS l WHERE l.described = 0
    AND l.directory_id NOT IN (SELECT d.id FROM directory AS d WHERE d.path IN (SELECT value FROM json_each(:without)))
    ORDER BY l.id LIMIT :limit) ORDER BY id;

-- name: describe
-- The sidecars and the header of a file were looked at, unless it changed meanwhile.
UPDATE location SET described = 1 WHERE file = ? AND device = ? AND inode = ? AND size = ? AND mtime_ns = ?;

-- name: unsampled
-- A file of each content without a quick hash, in the order they came; with `read`, only of contents that were read whole.
SELECT file, root, folder, name, device, inode, size, mtime_ns, sha256, blake3, md5, crc32, tensor, evidence, against,
    verified_at
FROM held WHERE id IN (
    SELECT min(l.id) FROM content AS c JOIN location AS l ON l.content_id = c.id
    WHERE c.quick IS NULL AND (NOT :read OR c.sha256 IS NOT NULL OR c.blake3 IS NOT NULL) GROUP BY c.id ORDER BY c.id LIMIT :limit)
ORDER BY id;

-- name: sample
-- The quick hash of a file, unless it changed meanwhile.
UPDATE content SET quick = ? WHERE id = (
    SELECT l.content_id FROM location AS l
    WHERE l.file = ? AND l.device = ? AND l.inode = ? AND l.size = ? AND l.mtime_ns = ?);

-- name: unasked
-- SHA-256 of files that are here and that a service should be asked for: never was, or so long ago that it may know more.
-- An answer from more than a day in the future was dated by a wrong clock and holds nothing back.
SELECT c.sha256, (SELECT min(f.file) FROM location AS f WHERE f.content_id = c.id), a.outcome, a.at, a.due, a.times
FROM content AS c LEFT JOIN asked AS a ON a.service = :service AND a.sha256 = c.sha256
WHERE c.sha256 IS NOT NULL AND (a.due IS NULL OR a.due <= :now OR a.at > :now + 86400)
    AND EXISTS (SELECT 1 FROM location AS l WHERE l.content_id = c.id)
ORDER BY c.id LIMIT :limit;

-- name: put_asked
-- What a service said of a SHA-256.
INSERT INTO asked (service, sha256, outcome, at, due, times) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET outcome = excluded.outcome, at = excluded.at, due = excluded.due, times = excluded.times;

-- name: bundled
-- Files that belong to a model of several files, and to which.
SELECT file, bundle FROM location WHERE bundle <> '';

-- name: put_bundle
-- The model of several files that a file belongs to.
UPDATE location SET bundle = :bundle WHERE file = :file AND bundle <> :bundle;
