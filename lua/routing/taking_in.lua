-- Jobs of the running fleet: the zset jobs:pending and the hashes job:{id}. Taken in, they are ours, with `l` in their record.
-- They keep the order of the zset among each other, whatever formula its scores follow, and go before jobs of our own.

local STEPS = 40
local AT_HEAD = 10 -- of the zset that are looked at each time; the rest in turns
local OVER = {cancelled = true, completed = true, failed = true}

local function old_job(root, id)
  local key = routing.old_key(root, id)
  if redis.call('TYPE', key)['ok'] ~= 'hash' then return nil, 'it has no hash' end
  if redis.call('HSTRLEN', key, 'requirements') > 16384 then return nil, 'the requirements: it is longer than 16384 bytes' end
  local found = redis.call('HMGET', key, 'requirements', 'service_required', 'customer_id', 'workflow_id', 'max_retries', 'status',
    'last_failed_worker')
  return {requirements = found[1] or '', service = found[2] or '', c = found[3] or '', wf = found[4] or '',
    attempts = found[5] or '', status = found[6] or '', lf = found[7] or ''}
end

-- Its parts, or nil and why it cannot be read.
local function parts_of(old)
  local parts, why = rules.read(old.requirements)
  if why then return nil, why end
  if old.service == '' or old.service == 'all' then return parts end
  local service
  service, why = rules.by_name.service.read({service_required = old.service})
  if why then return nil, why end
  local changed, wanted = {}, {[service[1]] = true}
  for name, part in pairs(parts) do changed[name] = part end
  for _, name in ipairs(parts.service or {}) do wanted[name] = true end
  changed.service = routing.names_of(wanted)
  return changed
end

-- A job of this id that we had before: whoever put it back means it anew.
local function forget(root, id, now)
  local before = routing.job(root, id, 's', 't')
  if not before then return end
  if before.st == 'pending' and before.s then routing.dequeue(root, before.s, id) end
  routing.release(root, id, before.t)
  for _, name in ipairs{':delayed', ':dead', ':done'} do redis.call('ZREM', root .. name, id) end
  redis.call('DEL', routing.job_key(root, id), root .. ':body:' .. id)
  redis.call('HINCRBY', root, 'jobs', -1)
  if before.s then routing.refer(root, before.s, -1, now) end
end

local function refuse(root, id, why, now)
  id = string.gsub(string.sub(id, 1, 200), '%c', '?')
  forget(root, id, now)
  redis.call('HINCRBY', root, 'jobs', 1)
  redis.call('HSET', routing.job_key(root, id), 'at', text_of(now / 1000), 'p', '0', 'l', '1', 'mx', '1')
  routing.bury(root, id, {l = '1'}, why, now)
end

local function word(text) return routing.is_word(text) and text or '' end

-- 'taken', 'bad' or 'left'.
local function take_one(root, pending, id, score, mode, now)
  local old, why = old_job(root, id)
  local parts
  if not routing.is_word(id) then why = 'the id is no id' end
  if not why and OVER[old.status] then
    redis.call('ZREM', pending, id)
    return 'bad'
  end
  if not why then parts, why = parts_of(old) end
  if why then
    redis.call('ZREM', pending, id)
    refuse(root, id, why, now)
    return 'bad'
  end
  local customer, workflow, failed_by = word(old.c), word(old.wf), word(old.lf)
  if failed_by ~= '' then
    local changed = {not_worker = failed_by}
    for name, part in pairs(parts) do changed[name] = part end
    parts = changed
  end
  parts = routing.with_facets(root, parts, customer, workflow)
  local sid
  sid, why = routing.signature(root, routing.canonical(parts))
  if why then return 'left' end
  routing.settle(root, STEPS)
  if mode == 'eligible' and routing.number_able_of(root, sid) == 0 then
    if not redis.call('HGET', root .. ':refs', sid) then routing.refer(root, sid, 0, now) end
    return 'left'
  end
  forget(root, id, now)
  redis.call('ZREM', pending, id)
  local attempts = routing.whole(old.attempts, 0, 99)
  local job = {s = sid, p = string.format('%.17g', -tonumber(score) / 1024), mx = text_of((attempts or 2) + 1), c = customer, wf = workflow, l = '1',
    lf = failed_by}
  routing.add(root, id, job, '', now, true)
  return 'taken'
end

-- How many were taken, how many were bad and are dead letters, and how many are left.
function routing.take_in(root, pending, limit, mode, now)
  local told = {taken = 0, bad = 0, left = 0}
  if redis.call('TYPE', pending)['ok'] ~= 'zset' then return told end
  local function look(from, number)
    local page, left = redis.call('ZREVRANGE', pending, from, from + number - 1, 'WITHSCORES'), 0
    for n = 1, #page, 2 do
      if routing.is_much() then return number, left end
      local what = take_one(root, pending, page[n], page[n + 1], mode, now)
      routing.weigh(3)
      told[what] = told[what] + 1
      if what == 'left' then left = left + 1 end
    end
    return #page / 2, left
  end
  local first = mode == 'eligible' and math.min(limit, AT_HEAD) or limit
  local seen, left = look(0, first)
  if mode == 'eligible' and seen == first and limit > first then
    local from = math.max(tonumber(redis.call('HGET', root, 'looked_at') or '0'), left)
    seen, left = look(from, limit - first)
    redis.call('HSET', root, 'looked_at', seen < limit - first and '0' or text_of(from + left))
  end
  told.left = redis.call('ZCARD', pending)
  return told
end
