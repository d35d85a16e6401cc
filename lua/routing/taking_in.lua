-- Jobs of the running fleet: the zset jobs:pending and the hashes job:{id}. Taken in, they are ours, with `l` in their record.
-- One order of priority and age holds for them and for ours: both formulas of the fleet's scores say how old a job is, and how urgent. A
-- score of another formula says only who is first among its like; these go before all others, in the order of the zset.

local STEPS = 40
local ROOM = 20 -- steps that are left where a large one is begun: more are not left after those at the head
local AT_HEAD = 10 -- of the zset that are looked at each time; the rest in turns
local USUAL = 50 -- the fleet's priority that is 0 here
local MOST_PRIORITY = 1000
local NOBODY = {created = ''}
local OVER = {cancelled = true, completed = true, failed = true}

local function old_job(root, id)
  local key = routing.old_key(root, id)
  if redis.call('TYPE', key)['ok'] ~= 'hash' then return nil, 'it has no hash' end
  if redis.call('HSTRLEN', key, 'requirements') > 8192 then return nil, 'the requirements: it is longer than 8192 bytes' end
  local found = redis.call('HMGET', key, 'requirements', 'service_required', 'customer_id', 'workflow_id', 'max_retries', 'status',
    'last_failed_worker', 'priority', 'created_at')
  return {requirements = found[1] or '', service = found[2] or '', c = found[3] or '', wf = found[4] or '',
    attempts = found[5] or '', status = found[6] or '', lf = found[7] or '',
    priority = routing.whole(found[8] or '', -MOST_PRIORITY, MOST_PRIORITY), created = found[9] or ''}
end

-- Its parts, or nil and why it cannot be read.
local function parts_of(old)
  local parts, why = rules.read(old.requirements)
  if not parts then return nil, why end
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

-- us since 1970 of a time in ISO 8601, UTC; nil for anything else.
local function us_of(text)
  local year, month, day, hour, minute, second = string.match(text, '^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)Z$')
  if not year or #text > 40 then return nil end
  year, month = tonumber(year), tonumber(month)
  if month <= 2 then year, month = year - 1, month + 12 end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + tonumber(day) - 719469
  return ((days * 24 + tonumber(hour)) * 60 + tonumber(minute)) * 6e7 + tonumber(second) * 1e6
end

-- What a score says: priority, and when it was submitted, in us since 1970. Nil for other formulas.
--   priority * 1e15 - seconds               of a new job; a double of that size tells some 8 s apart, created_at more
--   priority * 1e6 + 2^53 - 1 - milliseconds  of one that came back
local function read_score(score, old)
  local priority = math.floor(score / 1e15) + 1
  local seconds = priority * 1e15 - score
  if priority >= 1 and priority <= MOST_PRIORITY and seconds > 1e9 and seconds < 1e10 then
    local created = us_of(old.created)
    if created and math.abs(created - seconds * 1e6) < 60e6 then return priority, created end
    return priority, seconds * 1e6
  end
  priority = old.priority or USUAL
  local ms = 2 ^ 53 - 1 - score + priority * 1e6
  if ms > 1e12 and ms < 1e13 then return priority, ms * 1000 end
end

-- Where it stands among all jobs.
local function place_of(root, score, old)
  local priority, submitted = read_score(score, old)
  if not priority then return -score / 1024 end
  return submitted - (priority - USUAL) * tonumber(redis.call('HGET', root, 'priority_ms') or '60000') * 1000
end

local function word(text) return routing.is_word(text) and text or '' end

-- What it asks, as a signature; or nil and why it cannot be had.
local function signature_of(root, parts, customer, workflow, failed_by)
  if failed_by ~= '' then
    local changed = {not_worker = failed_by}
    for name, part in pairs(parts) do changed[name] = part end
    parts = changed
  end
  return routing.signature(root, routing.canonical(routing.with_facets(root, parts, customer, workflow)))
end

-- Nobody serves this signature, as far as is known: 'left', or nil when the call is over before that is sure. `more` is still to be indexed.
local function unserved(told, sid, another, more)
  local root = told.root
  if not redis.call('HGET', root .. ':refs', sid) then routing.refer(root, sid, 0, told.now) end
  if another and routing.is_much() then return nil end
  told.waiting[sid], told.sure = true, told.sure and not more
  return 'left'
end

-- 'taken', 'bad' or 'left'; nil for `another` one where the call is nearly over: it was not looked at, or not to the end. `told`: see take_in;
-- waiting are the signatures that nobody serves, as far as this call found.
local function take_one(told, id, score, another)
  local root, pending, now = told.root, told.pending, told.now
  local old, why = old_job(root, id)
  if another and not why and not routing.has_room(math.min(3 + #old.requirements / 64, ROOM)) then return nil end
  local parts
  if not routing.is_word(id) then why = 'the id is no id' end
  if not why and OVER[old.status] then
    redis.call('ZREM', pending, id)
    return 'bad'
  end
  if not why then
    routing.weigh(#old.requirements / 256)
    parts, why = parts_of(old)
  end
  if why then
    redis.call('ZREM', pending, id)
    refuse(root, id, why, now)
    return 'bad'
  end
  local customer, workflow, failed_by = word(old.c), word(old.wf), word(old.lf)
  local sid = signature_of(root, parts, customer, workflow, failed_by)
  if not sid or told.waiting[sid] then return 'left' end
  local more = routing.settle(root, STEPS)
  if told.mode == 'eligible' and routing.number_able_of(root, sid) == 0 then return unserved(told, sid, another, more) end
  forget(root, id, now)
  redis.call('ZREM', pending, id)
  local attempts = routing.whole(old.attempts, 0, 99)
  local job = {s = sid, p = string.format('%.17g', place_of(root, tonumber(score), old)), mx = text_of((attempts or 2) + 1), c = customer, wf = workflow, l = '1',
    lf = failed_by}
  routing.add(root, id, job, '', now, true)
  return 'taken'
end

-- Looks at so many from a place on. How many of them stay there, whether nothing is behind them, and where the first one stands among all
-- jobs that the call did not come to, or nil.
local function look(told, from, number)
  local page, left = redis.call('ZREVRANGE', told.pending, from, from + number - 1, 'WITHSCORES'), 0
  for n = 1, #page, 2 do
    local another = told.seen > 0
    local what = not (another and routing.is_much()) and take_one(told, page[n], page[n + 1], another)
    if not what then return left, false, place_of(told.root, tonumber(page[n + 1]), old_job(told.root, page[n]) or NOBODY) end
    told.seen = told.seen + 1
    routing.weigh(3)
    told[what] = told[what] + 1
    if what == 'left' then left = left + 1 end
  end
  return left, #page < 2 * number
end

local rounds = {} -- by pool: a round over the head of the queue that a call had to leave: at, sure, and the pool's turn then

local function turn_of(root)
  local _, turn = routing.token(root, '')
  return turn
end

-- Each call goes over the head of the queue, or on where the last one had to leave, so that nothing at the head keeps it from what is
-- behind. Sure is a round in which no answer could be another by now. What `look` says.
local function look_at_head(told, number)
  local root = told.root
  local round = rounds[root] or {at = 0}
  told.sure = round.at == 0 or round.sure and round.turn == turn_of(root)
  local left, over, before = look(told, round.at, math.max(number - round.at, 1))
  rounds[root] = before and {at = round.at + left, sure = told.sure, turn = turn_of(root)} or nil
  told.before = before
  return round.at + left, over
end

local function look_behind(told, at_least, number)
  local from = math.max(tonumber(redis.call('HGET', told.root, 'looked_at') or '0'), at_least)
  local left, over = look(told, from, number)
  redis.call('HSET', told.root, 'looked_at', over and '0' or text_of(from + left))
end

-- How many were taken, how many were bad and are dead letters, how many are left, whether all at the head that can be taken are (sure), or
-- all of them before this place among all jobs (before).
function routing.take_in(root, pending, limit, mode, now)
  local told = {root = root, pending = pending, mode = mode, now = now, waiting = {}, taken = 0, bad = 0, left = 0, seen = 0, sure = true}
  if redis.call('TYPE', pending)['ok'] ~= 'zset' then return told end
  local first = mode == 'eligible' and math.min(limit, AT_HEAD) or limit
  local left, over = look_at_head(told, first)
  if first < limit and not over and not told.before then look_behind(told, left, limit - first) end
  told.left = redis.call('ZCARD', pending)
  return told
end
