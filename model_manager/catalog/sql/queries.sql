-- name: models_by_reference
-- Models whose id or name is in the JSON array :refs.
SELECT * FROM model
WHERE id IN (SELECT value FROM json_each(:refs)) OR name IN (SELECT value FROM json_each(:refs))
ORDER BY name;

-- name: models_found
-- One page of models; an empty filter ('' or 0) lets everything through.
SELECT * FROM model
WHERE (:name = '' OR name = :name)
  AND (:search = '' OR instr(lower(name || char(10) || description), lower(:search)) > 0)
  AND (:model_type = '' OR model_type = :model_type)
  AND (:auth_only = 0 OR auth_required = 1)
ORDER BY name LIMIT :limit OFFSET :offset;

-- name: models_counted
-- How many models the same filters let through.
SELECT count(*) AS total FROM model
WHERE (:name = '' OR name = :name)
  AND (:search = '' OR instr(lower(name || char(10) || description), lower(:search)) > 0)
  AND (:model_type = '' OR model_type = :model_type)
  AND (:auth_only = 0 OR auth_required = 1);

-- name: dependencies
-- What the models of the JSON array :ids need.
SELECT model_id, needs FROM model_dependency
WHERE model_id IN (SELECT value FROM json_each(:ids)) ORDER BY model_id, position;

-- name: gated_models
-- Name and variable of every model that needs a token.
SELECT name, auth_env_var FROM model WHERE auth_required = 1 ORDER BY name;

-- name: workflows_by_reference
-- Workflows whose name is in :names or whose id is in :ids (JSON arrays).
SELECT * FROM workflow
WHERE name IN (SELECT value FROM json_each(:names)) OR id IN (SELECT value FROM json_each(:ids))
ORDER BY name;

-- name: workflows_found
-- One page of workflows; an empty filter lets everything through.
SELECT * FROM workflow
WHERE (:name = '' OR name = :name)
  AND (:search = '' OR instr(lower(name || char(10) || description), lower(:search)) > 0)
ORDER BY name LIMIT :limit OFFSET :offset;

-- name: workflows_counted
-- How many workflows the same filters let through.
SELECT count(*) AS total FROM workflow
WHERE (:name = '' OR name = :name)
  AND (:search = '' OR instr(lower(name || char(10) || description), lower(:search)) > 0);

-- name: needs
-- What the workflows of the JSON array :ids need, as references.
SELECT workflow_id, model, is_required FROM workflow_model
WHERE workflow_id IN (SELECT value FROM json_each(:ids)) ORDER BY workflow_id, position;

-- name: custom_nodes
-- Custom nodes of the workflows of the JSON array :ids, in order of installation.
SELECT workflow_id, name FROM workflow_custom_node
WHERE workflow_id IN (SELECT value FROM json_each(:ids)) ORDER BY workflow_id, position;

-- name: collections_by_id
-- Collections whose id is in the JSON array :ids.
SELECT * FROM collection WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id;

-- name: collection_nodes
-- Workflows that the collections of the JSON array :ids list, as references.
SELECT collection_id, workflow FROM collection_node
WHERE collection_id IN (SELECT value FROM json_each(:ids)) ORDER BY collection_id, position;

-- name: counts
-- How much there is.
SELECT (SELECT count(*) FROM model) AS models,
       (SELECT count(*) FROM workflow) AS workflows,
       (SELECT count(*) FROM collection) AS collections;

-- name: tables
-- How many tables the file has, ours or not.
SELECT count(*) AS total FROM sqlite_master WHERE type = 'table';

-- name: insert_model
-- A model. Deleting the old one first takes its dependencies along.
INSERT INTO model VALUES (:id, :name, :download_url, :save_to, :size_bytes, :size_text, :hash, :auth_required,
                          :auth_env_var, :model_type, :description);

-- name: delete_model
DELETE FROM model WHERE id = :id OR name = :name;

-- name: insert_dependency
INSERT INTO model_dependency VALUES (:owner, :position, :reference);

-- name: insert_workflow
INSERT INTO workflow VALUES (:id, :name, :description);

-- name: delete_workflow
DELETE FROM workflow WHERE id = :id OR name = :name;

-- name: insert_need
INSERT INTO workflow_model VALUES (:owner, :position, :reference, :required);

-- name: insert_custom_node
INSERT INTO workflow_custom_node VALUES (:owner, :position, :reference);

-- name: insert_collection
INSERT INTO collection VALUES (:id, :name, :description);

-- name: delete_collection
DELETE FROM collection WHERE id = :id;

-- name: insert_collection_node
INSERT INTO collection_node VALUES (:owner, :position, :reference);

-- name: delete_all_models
DELETE FROM model;

-- name: delete_all_workflows
DELETE FROM workflow;

-- name: delete_all_collections
DELETE FROM collection;
