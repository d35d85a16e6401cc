-- A fresh index, as of the newest migration. A test compares the two.

-- Who writes here, and where its history stands. One row; digest, models and bytes are running sums over the held files.
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

-- Directories with models. `folder`: what the whole directory is, NULL for a models directory. One that nobody tracks any
-- more stays until its last file has left. `remarks`: the first places that the last scan left out, as a JSON list of
-- [path, why, whether it could not be looked at].
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
    bytes INTEGER NOT NULL DEFAULT 0,
    unreadable INTEGER NOT NULL DEFAULT 0,
    passed_over INTEGER NOT NULL DEFAULT 0,
    remarks TEXT NOT NULL DEFAULT '[]'
);

-- One row for each content: bytes, wherever they lie. A file that nobody has read is a content of its own. Digests are
-- lower-case hex; `quick` is a hint and no identity. `last_file` is where a content without location lay last.
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

-- One row for each file on a shelf. `category` and `slot` are ShelfPath.slot, `base` is the last part of `slot`; device and
-- inode are signed 64 bit. `knows` says which digests this file was itself found to have (1 sha256, 2 blake3, 4 md5,
-- 8 crc32, 16 tensor): its content may know more. `described`: its sidecars and header were looked at as it is now. `trouble`: why it could not
-- be read whole as it is now. Its ids reference no table by declaration: SQLite would take three times as long for many new files.
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
    described INTEGER NOT NULL DEFAULT 0,
    trouble TEXT NOT NULL DEFAULT ''
);
CREATE INDEX location_content ON location (content_id);
CREATE INDEX location_slot ON location (category, slot);
CREATE INDEX location_category ON location (category);
CREATE INDEX location_base ON location (base);
CREATE INDEX location_inode ON location (inode);
CREATE INDEX location_size ON location (size, category);
CREATE INDEX location_directory ON location (directory_id);
CREATE INDEX location_undescribed ON location (described) WHERE described = 0;

-- The `slot` of every location, and of some that left, many to a row, as index/naming.py says: to look for a part of a name.
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    category TEXT NOT NULL,
    some BLOB NOT NULL
);
CREATE INDEX names_category ON names (category);

-- Every `slot` without its last part, and some of files that left: '' or a path with a slash at its end.
CREATE TABLE subfolder (
    category TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (category, path)
) WITHOUT ROWID;

-- The same once more, many to a row, as index/paths.py says: to look for a part of a path.
CREATE TABLE subfolders (
    id INTEGER PRIMARY KEY,
    category TEXT NOT NULL,
    some BLOB NOT NULL
);
CREATE INDEX subfolders_category ON subfolders (category);

-- Where a content can be had. `data` is a JSON object.
CREATE TABLE address (
    content_id INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    learnt_at TEXT NOT NULL,
    PRIMARY KEY (content_id, url)
) WITHOUT ROWID;
CREATE INDEX address_url ON address (url);

-- Hashes that somebody else claims. `algorithms`: all that the hash can be, with `|` between them, or the formula of
-- another program's quick hash.
CREATE TABLE claim (
    content_id INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
    hex TEXT NOT NULL,
    algorithms TEXT NOT NULL,
    who TEXT NOT NULL,
    learnt_at TEXT NOT NULL,
    PRIMARY KEY (content_id, hex, algorithms, who)
) WITHOUT ROWID;
CREATE INDEX claim_hex ON claim (hex);

-- What is told of a content: every teller's word on every field. `rank`: the place of the teller in
-- facts.description.ORDER; when that changes, a migration follows.
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

-- What a remote service said of a SHA-256. `at` and `due` are Unix seconds: when, and from when on it may be asked again.
-- `times`: the same answer in a row.
CREATE TABLE asked (
    service TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('found', 'absent', 'doubtful')),
    at REAL NOT NULL,
    due REAL NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (service, sha256)
) WITHOUT ROWID;

-- Held files as the store speaks of them: of the digests, those that a file was itself found to have.
CREATE VIEW held AS
SELECT l.file, d.path AS root, l.folder, l.name, l.device, l.inode, l.size, l.mtime_ns,
    CASE WHEN l.knows & 1 THEN c.sha256 END AS sha256,
    CASE WHEN l.knows & 2 THEN c.blake3 END AS blake3,
    CASE WHEN l.knows & 4 THEN c.md5 END AS md5,
    CASE WHEN l.knows & 8 THEN c.crc32 END AS crc32,
    CASE WHEN l.knows & 16 THEN c.tensor END AS tensor,
    l.evidence, l.against, l.verified_at, l.category, l.slot, l.knows, l.content_id, l.id
FROM location AS l JOIN content AS c ON c.id = l.content_id JOIN directory AS d ON d.id = l.directory_id;

-- The best word on every field of every content.
CREATE VIEW best_told AS
SELECT t.content_id, t.field, t.value, t.teller, t.rank, t.at FROM told AS t
WHERE NOT EXISTS (
    SELECT 1 FROM told AS o WHERE o.content_id = t.content_id AND o.field = t.field AND o.rank < t.rank);

-- The index as readers of the old model index of ComfyDock know it: a row for each content that is here, by its first file.
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

-- The 24 columns of StableQueue's models: a row for each file. `metadata_status` and `metadata_source` as
-- decisions/describing.py has them.
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
