-- mm_find_matching_job: what a worker of the running fleet asks, in its own words, answered by our rules. A fleet moves over worker
-- by worker: jobs that its producers put into jobs:pending are taken in, and what its monitors look at is written as before.
--
-- KEYS  1 routing   2 jobs:pending. Derived from their prefix: job:{id}, jobs:active:{worker}, worker:{worker}, and of the machine
--       machine:{id}:model_manager, machine:{id}:models (read).  No keys at all: the same without a prefix, as the fleet calls.
-- ARGV  the worker's capabilities as JSON, how many jobs to look at (not needed: nothing is out of reach), and, if the client
--       has one, a token of this claim: the same one again gives the same job again
-- Returns nil where there is nothing for it, or that is not known yet; or JSON: {"jobId": id, "job": {the fields of job:{id} after the
--       claim}}; an error for capabilities that are unreadable
--
-- While an agent of the worker's machine is alive its inventory decides which models are there; else what the worker says.
-- A worker that asks again while its job is still `assigned` was not heard: it gets that job again, unless it takes several.

local ROOM = 40 -- steps that are left where more is begun than was asked; a worker that says the same again leaves more of them
local LEASE_MS, SEAT_MS, STEPS, DOSE, TAKEN_IN, MEMO = 120000, 120000, 20, 2, 25, 1000
local PATIENCE, REGAINED = 32, 0.1 -- claims of a pool that are put off while something is not known; that one regains where all is
local UNKNOWN = {sure = false}
local WORKER_SECONDS = '120' -- as long as the fleet's API keeps it
local BEGUN = {accepted = true, in_progress = true, processing = true, active = true}

local function prefix_of(root) return string.sub(root, 1, -#'routing' - 1) end

local function old_field(root, id, name)
  local key = prefix_of(root) .. 'job:' .. id
  return redis.call('TYPE', key)['ok'] == 'hash' and redis.call('HGET', key, name) or nil
end

local function alive(root, worker)
  local prefix = prefix_of(root)
  return redis.call('EXISTS', prefix .. 'worker:' .. worker .. ':heartbeat', prefix .. 'worker:' .. worker) > 0
end

local function renew(root, id, now)
  redis.call('ZADD', root .. ':leases', text_of(math.floor(now / 1000) + LEASE_MS), id)
end

-- A claim of a worker that tells us nothing: what it wrote into job:{id} counts. Whether that settles its lease.
function routing.follow_old(root, id, job, now)
  local status = old_field(root, id, 'status')
  if status == 'completed' then
    routing.complete(root, id, job.t, '', routing.keep_ms(root), now)
  elseif status == 'failed' then
    routing.failed(root, id, job, 'final', old_field(root, id, 'error') or 'its worker says so', 0, now)
  elseif status == 'cancelled' then
    routing.cancel(root, id, job, now)
  elseif BEGUN[status or ''] and alive(root, job.w or '') then
    renew(root, id, now)
  else
    return false
  end
  return true
end

-- Who says this, by the sum of its text: a worker says the same with every call.
local known, remembered = {}, 0
local last = {} -- what was read last

local function read(text)
  local sum = redis.sha1hex(text or '')
  if known[sum] then return known[sum] end
  local said, why = routing.object(text, true)
  if not said then return nil, why end
  last = {text = text, said = said}
  if not routing.is_word(said.worker_id) then return nil, 'worker_id is no id' end
  local machine = routing.is_word(said.machine_id) and said.machine_id or said.worker_id
  local performance = type(said.performance) == 'table' and said.performance or {}
  local worker = {name = said.worker_id, machine = (string.gsub(machine, '[:.]', '-')), sum = sum,
    several = (routing.number(performance.concurrent_jobs) or 1) > 1}
  if remembered >= MEMO then known, remembered = {}, 0 end
  known[sum], remembered = worker, remembered + 1
  return worker
end

local function offer_of(text, agent)
  local said = last.text == text and last.said or routing.object(text, true)
  last = {}
  routing.weigh(#text / 300)
  if agent then said.models = nil elseif said.models == nil then said.models = {} end
  return rules.offered(said)
end

-- The worker's seat, offered anew when it says something else, or when half of its time is over. Nil and why.
local function seated(root, worker, text, now)
  local agent = redis.call('EXISTS', prefix_of(root) .. 'machine:' .. worker.machine .. ':model_manager') == 1
  local sum, asking = worker.sum .. (agent and ' agent' or ' alone'), root .. ':asking:' .. worker.name
  local seat = routing.seat(root, worker.machine, worker.name)
  if not seat or redis.call('GET', asking) ~= sum then
    local offer, why = offer_of(text, agent)
    if not offer then return nil, why end
    local profile
    profile, why = routing.take_seat(root, worker.machine, worker.name, offer, math.floor(now / 1000) + SEAT_MS)
    if not profile then return nil, why end
    redis.call('SET', asking, sum, 'PX', text_of(SEAT_MS / 2))
    seat = routing.seat(root, worker.machine, worker.name)
  end
  return {ord = seat.ord, profile = seat.profile, ends = seat.ends, declared = not agent}
end

-- Whether the machine's inventory is indexed as far as it is stored.
local function current(root, seat, worker)
  if seat.declared then return true end
  local at = redis.pcall('HMGET', prefix_of(root) .. 'machine:' .. worker.machine .. ':models', 'epoch', 'seq')
  return at[1] and at[2] and redis.call('HGET', root .. ':at', seat.ord) == at[1] .. ' ' .. at[2]
end

local function active_key(root, worker) return prefix_of(root) .. 'jobs:active:' .. worker.name end

-- What the worker was given earlier: settled by what it wrote since, or, when that is nothing, given once more.
local function unheard(root, worker, token, now)
  local active = active_key(root, worker)
  if redis.call('TYPE', active)['ok'] ~= 'hash' then return nil end
  local again
  for _, id in ipairs(redis.call('HKEYS', active)) do
    local job = routing.placeable(root, id)
    if job and job.st == 'running' and job.w == worker.name then
      local assigned = old_field(root, id, 'status') == 'assigned'
      if assigned and (job.t == token or (token == '' and not worker.several)) then again = again or id
      else routing.follow_old(root, id, job, now) end
    end
  end
  if again then renew(root, again, now) end
  return again
end

local function record(root, id)
  local flat, fields = redis.call('HGETALL', prefix_of(root) .. 'job:' .. id), {}
  for n = 1, #flat, 2 do fields[flat[n]] = flat[n + 1] end
  return fields
end

-- A job that was submitted to us gets a record like those of the fleet's producers.
local function lend_record(root, id, job, worker, now)
  local key = prefix_of(root) .. 'job:' .. id
  local parts = routing.parts(root, job.s) or {}
  redis.call('HSET', key, 'id', id, 'service_required', parts.service and parts.service[1] or '', 'priority', job.pr or '0',
    'payload', routing.body(root, id), 'requirements', routing.definition(root, job.s) or '', 'status', 'assigned',
    'worker_id', worker.name, 'machine_id', worker.machine, 'assigned_at', routing.iso(now))
  redis.call('HSET', routing.job_key(root, id), 'l', '1')
end

local function tell(root, worker, id, now)
  local prefix, at = prefix_of(root), routing.iso(now)
  local fields = record(root, id)
  local busy = prefix .. 'worker:' .. worker.name
  redis.call('HSET', active_key(root, worker), id, cjson.encode(fields))
  redis.call('HSET', busy, 'status', 'busy', 'current_job_id', id, 'last_status_change', at)
  if redis.call('TTL', busy) < 0 then redis.call('EXPIRE', busy, WORKER_SECONDS) end
  redis.call('PUBLISH', 'job_claimed', cjson.encode{job_id = id, worker_id = worker.name, status = 'claimed', timestamp = math.floor(now / 1000)})
  redis.call('PUBLISH', 'update_job_progress', cjson.encode{job_id = id, worker_id = worker.name, status = 'assigned', progress = 0,
    timestamp = math.floor(now / 1000)})
  return fields
end

-- Whether a claim is put off until all is known, for a job could be given out before an earlier one. Not where something always is not.
local function is_put_off(pool, sure)
  local left = pool.patience or PATIENCE
  pool.patience = sure and math.min(left + REGAINED, PATIENCE) or math.max(left - 1, 0)
  return not sure and left >= 1
end

local function claimed(root, worker, seat, token, told, now)
  local claim = {machine = worker.machine, worker = worker.name, lease = LEASE_MS, bonus = 0, hot = {}, old = true, before = told.before,
    token = token ~= '' and token or worker.name .. ' ' .. text_of(now)}
  local _, turn = routing.token(root, claim.token)
  local pool, asked = routing.pool(root, turn), routing.alone(claim)
  if is_put_off(pool, told.sure) then return nil end
  routing.deal(root, pool, seat, asked, now)
  local job = asked.jobs[1]
  if not job then return nil end
  if not job.l then lend_record(root, job.id, job, worker, now) end
  return job.id, tell(root, worker, job.id, now)
end

local put_off = {} -- by pool: whether the last call had no room for the queue of the fleet; then it comes first

-- What changed since the last call: its offer, the queue of the fleet, leases that ended. Whether all of it is known now (sure), or what
-- concerns the jobs before this place (before).
local function catch_up(root, pending, now)
  local first, told = put_off[root], UNKNOWN
  if not first and routing.has_room(ROOM) then routing.settle(root, STEPS) end
  if first or routing.has_room(ROOM) then
    told = routing.take_in(root, pending, TAKEN_IN, redis.call('HGET', root, 'take_in') or 'eligible', now)
    put_off[root] = nil
  else
    put_off[root] = true
  end
  routing.due(root, now, DOSE)
  local more = routing.settle(root, routing.has_room(ROOM) and STEPS or 0)
  return {sure = told.sure and not more, before = told.before}
end

local function mm_find_matching_job(keys, arguments)
  local root, now, token = keys[1] or 'routing', routing.now(), arguments[3] or ''
  routing.weigh(0)
  local worker, why = read(arguments[1])
  if why then return redis.error_reply('ERR the capabilities: ' .. why) end
  local seat
  seat, why = seated(root, worker, arguments[1], now)
  if why then return redis.error_reply('ERR the capabilities: ' .. why) end
  local told = catch_up(root, keys[2] or 'jobs:pending', now)
  local id, fields = unheard(root, worker, token, now), nil
  if id then
    fields = record(root, id)
  elseif current(root, seat, worker) then
    id, fields = claimed(root, worker, seat, token, told, now)
  end
  return id and cjson.encode{jobId = id, job = fields}
end

register('mm_find_matching_job', mm_find_matching_job, {'allow-oom'})
