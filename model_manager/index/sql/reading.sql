-- The queries of those who only read. Lookups answer ids of locations; `known` then says what is known of them.

-- name: format
-- Whose database this is, and of which schema.
SELECT application_id, user_version FROM pragma_application_id, pragma_user_version;

-- name: known
-- What is known of the locations of a JSON list, and hashes that are claimed.
SELECT l.id, l.content_id, l.file, d.path, l.folder, l.name, l.device, l.inode, l.size, l.mtime_ns, c.sha256, c.blake3, c.md5,
    c.crc32, c.tensor, coalesce(c.quick, ''), l.evidence, l.against, l.verified_at, l.first_seen, l.bundle,
    l.trouble, coalesce((SELECT group_concat(DISTINCT hex) FROM claim AS m WHERE m.content_id = c.id), '')
FROM location AS l JOIN content AS c ON c.id = l.content_id JOIN directory AS d ON d.id = l.directory_id
WHERE l.id IN (SELECT value FROM json_each(:ids));

-- name: titles_of
-- The best that is told of contents (a JSON list) of what a listing shows.
SELECT content_id, field, value FROM best_told
WHERE content_id IN (SELECT value FROM json_each(:contents))
    AND field IN ('name', 'civitai_model_name', 'type', 'civitai_model_type', 'civitai_model_base');

-- name: find_file
-- The file with an absolute path.
SELECT id FROM location WHERE file = :text LIMIT :limit;

-- name: find_url
-- Files that can be had from an address.
SELECT l.id FROM address AS a JOIN location AS l ON l.content_id = a.content_id
WHERE a.url = :text AND (:category = '' OR l.category = :category) AND l.slot >= :above AND l.slot < :below
ORDER BY l.slot LIMIT :limit;

-- name: find_name
-- Files of this name, or of a path that ends so.
SELECT id FROM location
WHERE base = :base AND (slot = :text OR category || '/' || slot = :text OR folder || '/' || slot = :text
    OR substr(slot, -length(:text) - 1) = '/' || :text)
    AND (:category = '' OR category = :category) AND slot >= :above AND slot < :below
ORDER BY category, slot LIMIT :limit;

-- name: find_hash
-- Files with a digest, a quick hash or a claimed hash that begins so.
SELECT id FROM location WHERE content_id IN (
    SELECT id FROM content WHERE sha256 >= :hex AND sha256 < :hex || 'g'
    UNION SELECT id FROM content WHERE blake3 >= :hex AND blake3 < :hex || 'g'
    UNION SELECT id FROM content WHERE tensor >= :hex AND tensor < :hex || 'g'
    UNION SELECT id FROM content WHERE quick >= :hex AND quick < :hex || 'g'
    UNION SELECT id FROM content WHERE md5 >= :hex AND md5 < :hex || 'g'
    UNION SELECT content_id FROM claim WHERE hex >= :hex AND hex < :hex || 'g')
    AND (:category = '' OR category = :category) AND slot >= :above AND slot < :below
ORDER BY category, slot LIMIT :limit;

-- name: find_prefix
-- Files whose name begins so, by name.
SELECT id FROM location WHERE base >= :text AND base < :text || char(1114111) ORDER BY base LIMIT :limit;

-- name: rows_of_names
-- The rows of names of a category, '' for all.
SELECT category, some FROM names WHERE :category = '' OR category = :category;

-- name: at_slots
-- Files at places, a JSON list of [category, slot], in the order of that list.
SELECT l.id FROM json_each(:slots) AS j CROSS JOIN location AS l
    ON l.category = json_extract(j.value, '$[0]') AND l.slot = json_extract(j.value, '$[1]')
ORDER BY j.key, l.file LIMIT :limit;

-- name: rows_of_subfolders
-- The rows of subfolders of a category, '' for all.
SELECT category, some FROM subfolders WHERE :category = '' OR category = :category;

-- name: find_path_prefix
-- Files of a folder whose path below it begins so, by path.
SELECT id FROM location WHERE category = :category AND slot >= :text AND slot < :text || char(1114111)
ORDER BY slot LIMIT :limit;

-- name: list_by_name
-- A page of everything, by folder and name.
SELECT l.id FROM location AS l
WHERE (:root IS NULL OR l.directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root))
    AND (NOT :unverified OR l.evidence IS NULL)
ORDER BY l.category, l.slot LIMIT :limit OFFSET :offset;

-- name: list_by_size
-- A page of everything, large before small.
SELECT l.id FROM location AS l
WHERE (:root IS NULL OR l.directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root))
    AND (NOT :unverified OR l.evidence IS NULL)
ORDER BY l.size DESC, l.id LIMIT :limit OFFSET :offset;

-- name: list_by_added
-- A page of everything, new before old.
SELECT l.id FROM location AS l
WHERE (:root IS NULL OR l.directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root))
    AND (NOT :unverified OR l.evidence IS NULL)
ORDER BY l.id DESC LIMIT :limit OFFSET :offset;

-- name: list_folder_by_name
-- A page of a folder, by name.
SELECT l.id FROM location AS l
WHERE l.category = :category AND l.slot >= :above AND l.slot < :below
    AND (:root IS NULL OR l.directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root))
    AND (NOT :unverified OR l.evidence IS NULL)
ORDER BY l.category, l.slot LIMIT :limit OFFSET :offset;

-- name: list_few
-- A page of a folder that has few files, which are looked at all: by size or by age.
SELECT l.id FROM location AS l INDEXED BY location_slot
WHERE l.category = :category AND l.slot >= :above AND l.slot < :below
    AND (:root IS NULL OR l.directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root))
    AND (NOT :unverified OR l.evidence IS NULL)
ORDER BY CASE :order WHEN 'size' THEN -l.size ELSE -l.id END, l.id LIMIT :limit OFFSET :offset;

-- name: list_few_of_directory
-- A page of a tracked directory that has few files, which are looked at all.
SELECT l.id FROM location AS l INDEXED BY location_directory
WHERE l.directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root)
    AND (:category = '' OR l.category = :category) AND l.slot >= :above AND l.slot < :below
    AND (NOT :unverified OR l.evidence IS NULL)
ORDER BY CASE :order WHEN 'size' THEN -l.size WHEN 'added' THEN -l.id END, l.category, l.slot, l.id
LIMIT :limit OFFSET :offset;

-- name: list_folder_by_size
-- A page of a folder that has many files, large before small.
SELECT l.id FROM location AS l INDEXED BY location_size
WHERE l.category = :category AND l.slot >= :above AND l.slot < :below
    AND (:root IS NULL OR l.directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root))
    AND (NOT :unverified OR l.evidence IS NULL)
ORDER BY l.size DESC, l.id LIMIT :limit OFFSET :offset;

-- name: list_folder_by_added
-- A page of a folder that has many files, new before old.
SELECT l.id FROM location AS l INDEXED BY location_category
WHERE l.category = :category AND l.slot >= :above AND l.slot < :below
    AND (:root IS NULL OR l.directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root))
    AND (NOT :unverified OR l.evidence IS NULL)
ORDER BY l.id DESC LIMIT :limit OFFSET :offset;

-- name: count_all
-- How many files there are.
SELECT count(*) FROM location;

-- name: count_folder
-- How many files a folder has.
SELECT count(*) FROM location WHERE category = :category AND slot >= :above AND slot < :below;

-- name: count_few
-- How many files a folder has, of so many that are counted at most.
SELECT count(*) FROM (SELECT 1 FROM location WHERE category = :category AND slot >= :above AND slot < :below LIMIT :most);

-- name: count_few_of_directory
-- How many files a tracked directory has, of so many that are counted at most.
SELECT count(*) FROM (SELECT 1 FROM location INDEXED BY location_directory
    WHERE directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root) LIMIT :most);

-- name: count_some
-- How many files a narrowed listing has.
SELECT count(*) FROM location AS l
WHERE (:category = '' OR l.category = :category) AND l.slot >= :above AND l.slot < :below
    AND (:root IS NULL OR l.directory_id = (SELECT d.id FROM directory AS d WHERE d.path = :root))
    AND (NOT :unverified OR l.evidence IS NULL);

-- name: content
-- One content.
SELECT size, sha256, blake3, md5, crc32, tensor, coalesce(quick, ''), last_file FROM content WHERE id = :id;

-- name: locations_of
-- The files of contents (a JSON list), by path.
SELECT id FROM location WHERE content_id IN (SELECT value FROM json_each(:contents)) ORDER BY file;

-- name: addresses_of
-- Where contents (a JSON list) can be had, in the order it was learnt.
SELECT content_id, kind, url, data FROM address WHERE content_id IN (SELECT value FROM json_each(:contents))
ORDER BY learnt_at, url;

-- name: claims_of
-- The hashes that are claimed for a content.
SELECT algorithms, hex, who FROM claim WHERE content_id = :id ORDER BY who, algorithms, hex;

-- name: told_of
-- Every teller's word on a content.
SELECT field, value, teller, at FROM told WHERE content_id = :id ORDER BY field, at, teller;

-- name: previews_of
-- The pictures of a content.
SELECT path FROM preview WHERE content_id = :id ORDER BY path;

-- name: answers_of
-- What services said of a SHA-256.
SELECT service, outcome, at, due, times FROM asked WHERE sha256 = :sha256 ORDER BY service;

-- name: duplicated
-- Contents of which two files lie on the disk that are no links to one.
SELECT c.id, c.size, c.sha256, c.blake3, c.md5, c.crc32, c.tensor, count(DISTINCT l.device || ':' || l.inode) AS copies
FROM content AS c JOIN location AS l ON l.content_id = c.id
WHERE c.sha256 IS NOT NULL OR c.blake3 IS NOT NULL
GROUP BY c.id HAVING copies > 1 ORDER BY (copies - 1) * c.size DESC, c.id;

-- name: missing
-- Contents that were read and lie nowhere now, where somebody still looks: who lets a directory go does not miss its models.
SELECT c.id, c.size, c.sha256, c.blake3, c.md5, c.crc32, c.tensor, c.last_file FROM content AS c
WHERE (c.sha256 IS NOT NULL OR c.blake3 IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM location AS l WHERE l.content_id = c.id)
    AND EXISTS (SELECT 1 FROM directory AS d WHERE d.tracked_by <> 'nobody'
        AND substr(c.last_file, 1, length(d.path) + 1) = d.path || '/')
ORDER BY c.last_file, c.id;

-- name: summary
-- The index in figures.
SELECT count(*), coalesce(sum(l.size), 0), count(DISTINCT l.content_id), count(l.evidence),
    count(coalesce(c.sha256, c.blake3)),
    coalesce(sum(CASE WHEN c.sha256 IS NULL AND c.blake3 IS NULL THEN l.size END), 0),
    count(nullif(l.trouble, '')),
    count(CASE WHEN l.base LIKE '%.safetensors' THEN NULL WHEN l.base LIKE '%.ckpt' OR l.base LIKE '%.pt' OR l.base LIKE '%.pt2'
        OR l.base LIKE '%.bin' OR l.base LIKE '%.pth' OR l.base LIKE '%.pkl' OR l.base LIKE '%.patch' THEN 1 END),
    (SELECT count(*) FROM content AS m WHERE (m.sha256 IS NOT NULL OR m.blake3 IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM location AS o WHERE o.content_id = m.id)
        AND EXISTS (SELECT 1 FROM directory AS d WHERE d.tracked_by <> 'nobody'
            AND substr(m.last_file, 1, length(d.path) + 1) = d.path || '/'))
FROM location AS l JOIN content AS c ON c.id = l.content_id;

-- name: names
-- The names of files, each once.
SELECT DISTINCT base FROM location ORDER BY base LIMIT :limit;

-- name: find_candidates
-- Files that any of JSON lists may mean: names as `base` spells them, hashes of any kind, directories as slots spell them. Files
-- that are found by a hash bring those of the same name along, which may hide them.
WITH hashed (base) AS (
    SELECT base FROM location WHERE content_id IN (
        SELECT id FROM content WHERE sha256 IN (SELECT value FROM json_each(:hexes))
        UNION SELECT id FROM content WHERE blake3 IN (SELECT value FROM json_each(:hexes))
        UNION SELECT id FROM content WHERE tensor IN (SELECT value FROM json_each(:hexes))
        UNION SELECT id FROM content WHERE md5 IN (SELECT value FROM json_each(:hexes))
        UNION SELECT id FROM content WHERE crc32 IN (SELECT value FROM json_each(:hexes))
        UNION SELECT id FROM content WHERE quick IN (SELECT value FROM json_each(:hexes))
        UNION SELECT content.id FROM json_each(:hexes) JOIN content
            ON length(value) BETWEEN 10 AND 12 AND sha256 >= value AND sha256 < value || 'g'
        UNION SELECT content.id FROM json_each(:hexes) JOIN content
            ON length(value) BETWEEN 10 AND 12 AND tensor >= value AND tensor < value || 'g'
        UNION SELECT content_id FROM claim WHERE hex IN (SELECT value FROM json_each(:hexes)))
)
SELECT id FROM location WHERE base IN (SELECT value FROM json_each(:bases) UNION SELECT base FROM hashed)
UNION SELECT id FROM location WHERE :directories <> '[]' AND EXISTS (
    SELECT 1 FROM json_each(:directories) WHERE instr('/' || slot, '/' || value || '/') = 1);

-- name: find_of_size
-- Files of any of the sizes of a JSON list, of which somebody has a hash over samples.
SELECT id FROM location WHERE size IN (SELECT value FROM json_each(:sizes)) ORDER BY file LIMIT :limit;
