-- What people want to hear of. `body` is the rule as JSON; `secret` signs what is sent; `version` grows with each change;
-- `based`: a rule of models knows what was there when it was made; `told_at`: when it was told last, seconds since 1970.
CREATE TABLE IF NOT EXISTS rules (
  id TEXT PRIMARY KEY,
  body TEXT NOT NULL,
  secret TEXT NOT NULL,
  made TEXT NOT NULL, -- ISO 8601 UTC
  version INTEGER NOT NULL,
  based INTEGER NOT NULL DEFAULT 0,
  told_at REAL
);

-- What a rule remembers: subjects that it was told of, or for a rule of models what is there (1) or was told as gone (0).
CREATE TABLE IF NOT EXISTS known (
  rule TEXT NOT NULL,
  key TEXT NOT NULL,
  here INTEGER NOT NULL,
  PRIMARY KEY (rule, key)
) WITHOUT ROWID;

-- Every notice, and where it stands on its way to a webhook. `state` is none, waiting, delivered or dead; `due` and `begun` are
-- seconds since 1970.
CREATE TABLE IF NOT EXISTS notices (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  rule TEXT NOT NULL,
  kind TEXT NOT NULL,
  edge TEXT NOT NULL,
  at TEXT NOT NULL, -- ISO 8601 UTC
  body TEXT NOT NULL, -- JSON
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  begun REAL NOT NULL,
  due REAL NOT NULL,
  status INTEGER,
  why TEXT NOT NULL DEFAULT ''
);

CREATE INDEX IF NOT EXISTS notices_waiting ON notices (due) WHERE state = 'waiting';

-- Who evaluates and delivers, how far the stream was looked at, and what to remember of machines and downloads. JSON.
CREATE TABLE IF NOT EXISTS notes (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
