-- The queries of the directories that are tracked.

-- name: directory_ids
-- All that have files, tracked or not.
SELECT path, id FROM directory;

-- name: find_directory
-- A file lies in a directory that nobody has named yet.
INSERT INTO directory (path, tracked_by, added_at) VALUES (:path, 'settings', :at) ON CONFLICT DO NOTHING;

-- name: track_directory
-- A person wants a directory; one that the settings name as well stays when they no longer do.
INSERT INTO directory (path, folder, tracked_by, added_at) VALUES (:path, :folder, 'person', :at)
ON CONFLICT (path) DO UPDATE SET folder = excluded.folder, tracked_by = 'person',
    added_at = CASE tracked_by WHEN 'nobody' THEN excluded.added_at ELSE added_at END;

-- name: untrack_directory
-- A person does not want a directory any more.
UPDATE directory SET tracked_by = 'nobody' WHERE path = :path AND tracked_by = 'person';

-- name: configure_directory
-- The settings name a directory.
INSERT INTO directory (path, folder, own, tracked_by, added_at) VALUES (:path, :folder, :own, 'settings', :at)
ON CONFLICT (path) DO UPDATE SET own = excluded.own,
    folder = CASE tracked_by WHEN 'person' THEN folder ELSE excluded.folder END,
    added_at = CASE tracked_by WHEN 'nobody' THEN excluded.added_at ELSE added_at END,
    tracked_by = CASE tracked_by WHEN 'person' THEN 'person' ELSE 'settings' END;

-- name: leave_directories
-- The settings name no others than these (a JSON list).
UPDATE directory SET own = 0, tracked_by = CASE tracked_by WHEN 'person' THEN 'person' ELSE 'nobody' END
WHERE path NOT IN (SELECT value FROM json_each(:paths));

-- name: drop_directories
-- One that nobody wants goes with its last file.
DELETE FROM directory WHERE tracked_by = 'nobody'
    AND NOT EXISTS (SELECT 1 FROM location AS l WHERE l.directory_id = directory.id);

-- name: directories
-- Those that somebody wants, by path.
SELECT path, folder, own, tracked_by, added_at, state, why, scanned_at, scan_seconds, files, bytes, unreadable,
    passed_over, remarks
FROM directory WHERE tracked_by <> 'nobody' ORDER BY path;

-- name: scanned_here
-- A look at a directory has ended.
UPDATE directory SET state = 'here', why = '', scanned_at = :at, scan_seconds = :seconds, files = :files, bytes = :bytes,
    unreadable = :unreadable, passed_over = :passed_over, remarks = :remarks
WHERE path = :path;

-- name: scanned_away
-- A directory cannot be looked at: what the last look found stays.
UPDATE directory SET state = 'away', why = :why WHERE path = :path;
