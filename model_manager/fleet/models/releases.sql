-- What CivitAI's list of versions said of a model, by its number there. `seq` grows with every answer, so that another
-- aggregator reads only what is new to it; `at`: seconds since 1970; `body`: JSON, NULL when the list does not have the model.
CREATE TABLE IF NOT EXISTS releases (
  model TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  at REAL NOT NULL,
  body TEXT
) WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS releases_by_seq ON releases (seq);

-- The last check, and whether somebody wants it to end. JSON.
CREATE TABLE IF NOT EXISTS notes (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
