-- Files become locations of contents; of contents, more is known than their digests.
ALTER TABLE held RENAME TO held_before;

CREATE TABLE directory (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    folder TEXT,
    own INTEGER NOT NULL DEFAULT 0,
    tracked_by TEXT NOT NULL CHECK (tracked_by IN ('settings', 'person', 'nobody')),
    added_at TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'never scanned' CHECK (state IN ('here', 'away', 'never scanned')),
    why TEXT NOT NULL DEFAULT '',
    scanned_at TEXT NOT NULL DEFAULT '',
    scan_seconds REAL NOT NULL DEFAULT 0,
    files INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE content (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    size INTEGER NOT NULL,
    sha256 TEXT,
    blake3 TEXT,
    md5 TEXT,
    crc32 TEXT,
    tensor TEXT,
    quick TEXT,
    last_file TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX content_sha256 ON content (sha256) WHERE sha256 IS NOT NULL;
CREATE UNIQUE INDEX content_blake3 ON content (blake3) WHERE blake3 IS NOT NULL;
CREATE INDEX content_md5 ON content (md5) WHERE md5 IS NOT NULL;
CREATE INDEX content_crc32 ON content (crc32) WHERE crc32 IS NOT NULL;
CREATE INDEX content_tensor ON content (tensor) WHERE tensor IS NOT NULL;
CREATE INDEX content_quick ON content (quick) WHERE quick IS NOT NULL;

CREATE TABLE location (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL UNIQUE,
    content_id INTEGER NOT NULL,
    directory_id INTEGER NOT NULL,
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    slot TEXT NOT NULL,
    base TEXT NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    knows INTEGER NOT NULL,
    evidence TEXT,
    against TEXT NOT NULL,
    verified_at TEXT NOT NULL,
    first_seen TEXT NOT NULL,
    bundle TEXT NOT NULL DEFAULT '',
    described INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX location_content ON location (content_id);
CREATE INDEX location_slot ON location (category, slot);
CREATE INDEX location_category ON location (category);
CREATE INDEX location_base ON location (base);
CREATE INDEX location_inode ON location (inode);
CREATE INDEX location_size ON location (size, category);
CREATE INDEX location_undescribed ON location (described) WHERE described = 0;

CREATE TABLE address (
    content_id INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    learnt_at TEXT NOT NULL,
    PRIMARY KEY (content_id, url)
) WITHOUT ROWID;
CREATE INDEX address_url ON address (url);

CREATE TABLE claim (
    content_id INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    hex TEXT NOT NULL,
    algorithms TEXT NOT NULL,
    who TEXT NOT NULL,
    learnt_at TEXT NOT NULL,
    PRIMARY KEY (content_id, hex, algorithms, who)
) WITHOUT ROWID;
CREATE INDEX claim_hex ON claim (hex);

CREATE TABLE told (
    content_id INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    field TEXT NOT NULL,
    teller TEXT NOT NULL,
    rank INTEGER NOT NULL,
    value TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (content_id, field, teller)
) WITHOUT ROWID;

CREATE TABLE preview (
    content_id INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    PRIMARY KEY (content_id, path)
) WITHOUT ROWID;

CREATE TABLE asked (
    service TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('found', 'absent')),
    at REAL NOT NULL,
    due REAL NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (service, sha256)
) WITHOUT ROWID;

INSERT INTO directory (path, tracked_by, added_at)
SELECT root, 'settings', strftime('%Y-%m-%dT%H:%M:%SZ', 'now') FROM held_before GROUP BY root ORDER BY root;

-- A content for each digest; of two rows that contradict each other on the second digest, the first is believed.
INSERT INTO content (size, sha256) SELECT max(size), sha256 FROM held_before WHERE sha256 IS NOT NULL GROUP BY sha256;
UPDATE OR IGNORE content SET blake3 = (
    SELECT max(h.blake3) FROM held_before AS h WHERE h.sha256 = content.sha256);
INSERT INTO content (size, blake3)
SELECT max(size), blake3 FROM held_before
WHERE sha256 IS NULL AND blake3 IS NOT NULL
    AND blake3 NOT IN (SELECT c.blake3 FROM content AS c WHERE c.blake3 IS NOT NULL)
GROUP BY blake3;

-- A content for each file that nobody has read; hard links are one file. `last_file` says for now which one it is.
CREATE TEMP TABLE unread AS
SELECT file, min(file) OVER (PARTITION BY device, inode, size, mtime_ns) AS first, size
FROM held_before WHERE sha256 IS NULL AND blake3 IS NULL;
CREATE UNIQUE INDEX temp.unread_file ON unread (file);
INSERT INTO content (size, last_file) SELECT size, file FROM unread WHERE file = first;
CREATE INDEX content_last_file ON content (last_file) WHERE last_file <> '';

INSERT INTO location (file, content_id, directory_id, folder, name, category, slot, base, device, inode, size, mtime_ns,
    knows, evidence, against, verified_at, first_seen)
SELECT h.file,
    coalesce(
        (SELECT id FROM content WHERE sha256 = h.sha256),
        (SELECT id FROM content WHERE blake3 = h.blake3),
        (SELECT id FROM content WHERE last_file <> '' AND last_file = u.first)),
    d.id, h.folder, h.name, h.category, h.slot,
    substr(h.slot, length(rtrim(h.slot, replace(h.slot, '/', ''))) + 1),
    h.device, h.inode, h.size, h.mtime_ns,
    (h.sha256 IS NOT NULL) + 2 * (h.blake3 IS NOT NULL) + 4 * (h.md5 IS NOT NULL) + 16 * (coalesce(length(h.autov3), 0) = 64),
    h.evidence, h.against, h.verified_at, strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
FROM held_before AS h JOIN directory AS d ON d.path = h.root LEFT JOIN unread AS u ON u.file = h.file
ORDER BY h.file;

UPDATE location SET knows = knows & ~2 WHERE (SELECT c.blake3 FROM content AS c WHERE c.id = content_id) IS NULL;

UPDATE content SET
    md5 = (SELECT max(h.md5) FROM held_before AS h JOIN location AS l ON l.file = h.file WHERE l.content_id = content.id),
    tensor = (SELECT max(h.autov3) FROM held_before AS h JOIN location AS l ON l.file = h.file
        WHERE l.content_id = content.id AND length(h.autov3) = 64)
WHERE sha256 IS NOT NULL OR blake3 IS NOT NULL;

-- Of the tensor hash only AutoV3 was kept, which is too little to be one: it stays as a claim of our own.
INSERT OR IGNORE INTO claim (content_id, hex, algorithms, who, learnt_at)
SELECT l.content_id, h.autov3, 'autov3', 'model_manager', strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
FROM held_before AS h JOIN location AS l ON l.file = h.file WHERE length(h.autov3) = 12;

DROP INDEX content_last_file;
UPDATE content SET last_file = '' WHERE last_file <> '';
DROP TABLE unread;
DROP TABLE held_before;

CREATE VIEW held AS
SELECT l.file, d.path AS root, l.folder, l.name, l.device, l.inode, l.size, l.mtime_ns,
    CASE WHEN l.knows & 1 THEN c.sha256 END AS sha256,
    CASE WHEN l.knows & 2 THEN c.blake3 END AS blake3,
    CASE WHEN l.knows & 4 THEN c.md5 END AS md5,
    CASE WHEN l.knows & 8 THEN c.crc32 END AS crc32,
    CASE WHEN l.knows & 16 THEN c.tensor END AS tensor,
    l.evidence, l.against, l.verified_at, l.category, l.slot, l.knows, l.content_id, l.id
FROM location AS l JOIN content AS c ON c.id = l.content_id JOIN directory AS d ON d.id = l.directory_id;

CREATE VIEW best_told AS
SELECT t.content_id, t.field, t.value, t.teller, t.rank, t.at FROM told AS t
WHERE NOT EXISTS (
    SELECT 1 FROM told AS o WHERE o.content_id = t.content_id AND o.field = t.field AND o.rank < t.rank);

CREATE VIEW models AS
SELECT c.quick AS hash, l.file AS path,
    substr(l.file, length(rtrim(l.file, replace(l.file, '/', ''))) + 1) AS filename,
    CASE l.category WHEN 'checkpoints' THEN 'checkpoint' WHEN 'loras' THEN 'lora' WHEN 'text_encoders' THEN 'clip'
        WHEN 'diffusion_models' THEN 'unet' WHEN 'embeddings' THEN 'embedding' WHEN 'upscale_models' THEN 'upscale_model'
        WHEN 'style_models' THEN 'style' WHEN 'hypernetworks' THEN 'hypernetwork' ELSE l.category END AS model_type,
    l.size AS file_size,
    CAST(strftime('%s', CASE d.scanned_at WHEN '' THEN l.first_seen ELSE d.scanned_at END) AS INTEGER) AS last_seen,
    CASE WHEN (SELECT count(*) FROM location AS o WHERE o.content_id = c.id) = 1 THEN '{}'
        ELSE json_object('duplicates', (SELECT json_group_array(o.file) FROM location AS o
            WHERE o.content_id = c.id AND o.file <> l.file)) END AS metadata,
    c.quick AS short_hash, l.mtime_ns / 1e9 AS mtime, d.path AS tracked_dir, c.blake3 AS blake3_hash, c.sha256 AS sha256_hash
FROM content AS c JOIN location AS l ON l.id = (SELECT min(o.id) FROM location AS o WHERE o.content_id = c.id)
    JOIN directory AS d ON d.id = l.directory_id;

CREATE VIEW model_sources AS
SELECT row_number() OVER (ORDER BY a.content_id, a.url) AS id, c.quick AS hash, a.kind AS source_type, a.url AS source_url,
    a.data AS source_data, CAST(strftime('%s', a.learnt_at) AS INTEGER) AS added_at
FROM address AS a JOIN content AS c ON c.id = a.content_id;

CREATE VIEW stablequeue_models AS
SELECT l.id,
    coalesce(
        (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'name'),
        (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_model_name'),
        substr(l.file, length(rtrim(l.file, replace(l.file, '/', ''))) + 1)) AS name,
    coalesce(
        (SELECT value FROM best_told AS b
            WHERE b.content_id = c.id AND b.field = 'type' AND b.value IN ('checkpoint', 'lora')),
        CASE l.category WHEN 'checkpoints' THEN 'checkpoint' WHEN 'loras' THEN 'lora' END) AS type,
    rtrim(rtrim(l.file, replace(l.file, '/', '')), '/') AS local_path,
    substr(l.file, length(rtrim(l.file, replace(l.file, '/', ''))) + 1) AS filename,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_id') AS civitai_id,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_version_id') AS civitai_version_id,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'forge_format') AS forge_format,
    substr(c.sha256, 1, 10) AS hash_autov2,
    c.sha256 AS hash_sha256,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_model_name') AS civitai_model_name,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_model_base') AS civitai_model_base,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_model_type') AS civitai_model_type,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_model_version_name') AS civitai_model_version_name,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_model_version_desc') AS civitai_model_version_desc,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_model_version_date') AS civitai_model_version_date,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_download_url') AS civitai_download_url,
    (SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_trained_words') AS civitai_trained_words,
    CAST((SELECT value FROM best_told AS b WHERE b.content_id = c.id AND b.field = 'civitai_file_size_kb') AS INTEGER)
        AS civitai_file_size_kb,
    CASE (SELECT count(*) FROM best_told AS b WHERE b.content_id = c.id AND b.field IN ('type', 'civitai_id',
            'civitai_version_id', 'civitai_model_name', 'civitai_model_base', 'civitai_model_type',
            'civitai_model_version_name', 'civitai_download_url'))
        WHEN 8 THEN 'complete'
        WHEN 0 THEN CASE WHEN EXISTS (SELECT 1 FROM told AS b WHERE b.content_id = c.id) THEN 'partial' ELSE 'none' END
        ELSE 'partial' END AS metadata_status,
    CASE (SELECT min(b.rank) FROM best_told AS b WHERE b.content_id = c.id AND b.rank BETWEEN 1 AND 5)
        WHEN 1 THEN 'forge' WHEN 3 THEN 'embedded' WHEN 2 THEN 'civitai' WHEN 4 THEN 'civitai' WHEN 5 THEN 'civitai'
        ELSE 'none' END AS metadata_source,
    EXISTS (SELECT 1 FROM told AS e WHERE e.content_id = c.id AND e.teller = 'embedded') AS has_embedded_metadata,
    NULL AS last_used,
    datetime(l.first_seen) AS created_at
FROM location AS l JOIN content AS c ON c.id = l.content_id;
