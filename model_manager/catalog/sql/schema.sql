-- The built-in catalog. Catalogs are dirty: a workflow may name a model, and a collection a workflow, that nobody has
-- described. Such references are kept as text and resolved when they are read, so that a hole stays visible.

CREATE TABLE model (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    download_url   TEXT,
    save_to        TEXT,               -- as written, in any of the three bases
    size_bytes     INTEGER,            -- exact, or NULL
    size_text      TEXT,               -- what somebody wrote instead of bytes: 17.2GB
    hash           TEXT,               -- as written; never says its algorithm for sure
    auth_required  INTEGER NOT NULL,   -- 0 or 1
    auth_env_var   TEXT,
    model_type     TEXT NOT NULL,      -- folder: checkpoints, vae, …, or ''
    description    TEXT NOT NULL
);

CREATE TABLE model_dependency (
    model_id  TEXT NOT NULL REFERENCES model (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    needs     TEXT NOT NULL,           -- id or name of the other model
    PRIMARY KEY (model_id, position)
) WITHOUT ROWID;

CREATE TABLE workflow (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    description  TEXT NOT NULL
);

CREATE TABLE workflow_model (
    workflow_id  TEXT NOT NULL REFERENCES workflow (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    model        TEXT NOT NULL,        -- id or name
    is_required  INTEGER NOT NULL,     -- 0 or 1
    PRIMARY KEY (workflow_id, position)
) WITHOUT ROWID;

CREATE TABLE workflow_custom_node (
    workflow_id  TEXT NOT NULL REFERENCES workflow (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,     -- order of installation
    name         TEXT NOT NULL,
    PRIMARY KEY (workflow_id, position)
) WITHOUT ROWID;

CREATE TABLE collection (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    description  TEXT NOT NULL
);

CREATE TABLE collection_node (
    collection_id  TEXT NOT NULL REFERENCES collection (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL,
    workflow       TEXT NOT NULL,      -- id or name
    PRIMARY KEY (collection_id, position)
) WITHOUT ROWID;
