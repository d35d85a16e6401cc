-- What people and services told of a model, by `folder/name`. A value of `manual` goes before all others.
CREATE TABLE IF NOT EXISTS told (
  place TEXT NOT NULL,
  teller TEXT NOT NULL CHECK (teller IN ('manual', 'civitai', 'server')),
  field TEXT NOT NULL,
  value TEXT NOT NULL, -- JSON
  at TEXT NOT NULL,    -- ISO 8601 UTC
  PRIMARY KEY (place, teller, field)
) WITHOUT ROWID;

-- What machines that do not run this product say they hold. Their hashes are claims.
CREATE TABLE IF NOT EXISTS held (
  server TEXT NOT NULL,
  place TEXT NOT NULL,
  size INTEGER,
  sha256 TEXT NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (server, place)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS held_by_place ON held (place);
