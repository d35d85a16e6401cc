-- The subfolders stand once more in large rows, so that a part of a path is found among many of them. Names and subfolders are
-- written anew when the index is opened.

CREATE TABLE subfolders (
    id INTEGER PRIMARY KEY,
    category TEXT NOT NULL,
    some BLOB NOT NULL
);
CREATE INDEX subfolders_category ON subfolders (category);
DELETE FROM names;
DELETE FROM subfolder;
