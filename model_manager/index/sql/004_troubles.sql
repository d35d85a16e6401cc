-- What could not be looked at or read is remembered, and an answer can be doubtful.

ALTER TABLE directory ADD COLUMN unreadable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE directory ADD COLUMN passed_over INTEGER NOT NULL DEFAULT 0;
ALTER TABLE directory ADD COLUMN remarks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE location ADD COLUMN trouble TEXT NOT NULL DEFAULT '';

CREATE TABLE asked_anew (
    service TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('found', 'absent', 'doubtful')),
    at REAL NOT NULL,
    due REAL NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (service, sha256)
) WITHOUT ROWID;
INSERT INTO asked_anew SELECT service, sha256, outcome, at, due, times FROM asked;
DROP TABLE asked;
ALTER TABLE asked_anew RENAME TO asked;

-- A part of a name is found in a few large rows, and a directory's files without looking at those of others.
CREATE INDEX location_directory ON location (directory_id);
CREATE TABLE bases (
    id INTEGER PRIMARY KEY,
    some BLOB NOT NULL
);
INSERT INTO bases (some) SELECT CAST(group_concat(base, char(0)) AS BLOB) FROM location GROUP BY id / 256;
