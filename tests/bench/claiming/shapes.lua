#!lua name=bench_shapes
-- Two ways to match jobs that were there before, in their own shape, written for this benchmark from what they do.

-- Both read the best jobs of jobs:pending, best first.
local function pending(limit)
  return redis.call('ZREVRANGE', 'jobs:pending', '0', tostring(limit - 1))
end

local function job_of(id)
  local flat = redis.call('HGETALL', 'job:' .. id)
  local job = {}
  for n = 1, #flat, 2 do job[flat[n]] = flat[n + 1] end
  return next(job) and job
end

local function within(list, wanted)
  for _, each in ipairs(list or {}) do
    if each == wanted then return true end
  end
  return false
end

local function has_models(worker, job, wanted)
  local held = worker.models and worker.models[job.service_required]
  for _, name in ipairs(wanted or {}) do
    if not within(held, name) then return false end
  end
  return true
end

local function matches(worker, job)
  local readable, asked = pcall(cjson.decode, job.requirements or '{}')
  if not readable then asked = {} end
  if not within(worker.job_service_required_map, job.service_required) then return false end
  if asked.gpu_memory_gb and asked.gpu_memory_gb ~= 'all' and worker.hardware.gpu_memory_gb < asked.gpu_memory_gb then
    return false
  end
  return has_models(worker, job, asked.models)
end

local function assigned(worker, id, job)
  local now = redis.call('TIME')
  local at = now[1] .. '.' .. now[2]
  local snapshot = cjson.encode(job)
  redis.call('ZREM', 'jobs:pending', id)
  redis.call('HMSET', 'job:' .. id, 'status', 'assigned', 'worker_id', worker.worker_id, 'assigned_at', at)
  redis.call('HSET', 'jobs:active:' .. worker.worker_id, id, snapshot)
  redis.call('HMSET', 'worker:' .. worker.worker_id, 'status', 'busy', 'current_job_id', id, 'last_status_change', at)
  redis.call('PUBLISH', 'job_claimed', cjson.encode({job_id = id, worker_id = worker.worker_id}))
  redis.call('PUBLISH', 'update_job_progress', cjson.encode({job_id = id, status = 'assigned', progress = 0}))
  redis.call('XADD', 'progress:' .. id, '*', 'status', 'assigned', 'worker_id', worker.worker_id)
  return cjson.encode({jobId = id, job = job})
end

-- A scan: the whole hash of every job, and its requirements decoded, until one fits. ARGV: capabilities, jobs to scan.
redis.register_function('bench_scan', function(keys, arguments)
  local worker = cjson.decode(arguments[1])
  for _, id in ipairs(pending(tonumber(arguments[2]))) do
    local job = job_of(id)
    if job and matches(worker, job) then return assigned(worker, id, job) end
  end
  return nil
end)

-- A model by its name in an inventory by folder.
local function in_inventory(folders, wanted)
  for _, entries in pairs(folders) do
    for _, each in ipairs(entries) do
      if each.name == wanted then return true end
    end
  end
  return false
end

-- The machine's inventory is read and decoded for every job that is looked at.
local function has_required_models(worker, wanted)
  if not wanted or #wanted == 0 then return true end
  local text = redis.call('HGET', 'machine:' .. worker .. ':models', 'models')
  if not text then return false end
  local folders = cjson.decode(text)
  for _, name in ipairs(wanted) do
    if not in_inventory(folders, name) then return false end
  end
  return true
end

-- The sketch: as the scan, with the machine's inventory for the models. ARGV: capabilities, jobs to scan.
redis.register_function('bench_sketch', function(keys, arguments)
  local worker = cjson.decode(arguments[1])
  for _, id in ipairs(pending(tonumber(arguments[2]))) do
    local job = job_of(id)
    local asked = job and cjson.decode(job.requirements)
    if asked and (asked.gpu_memory_gb or 0) <= worker.hardware.gpu_memory_gb
      and has_required_models(worker.worker_id, asked.models) then
      return assigned(worker, id, job)
    end
  end
  return nil
end)
