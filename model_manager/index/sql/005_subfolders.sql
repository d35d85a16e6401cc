-- Names stand by their subfolders, so that a part of one is found in a folder, and the subfolders by themselves, so that a part
-- of a path is. Both are written anew when the index is opened.

DROP TABLE bases;
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    category TEXT NOT NULL,
    some BLOB NOT NULL
);
CREATE INDEX names_category ON names (category);
CREATE TABLE subfolder (
    category TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (category, path)
) WITHOUT ROWID;
