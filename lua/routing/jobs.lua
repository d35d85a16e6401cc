-- Jobs: their record, their states, and who may change them. A claim's token is its fence: whoever comes with another is stale.

local LIFTED_AFTER_MS = 600000 -- a machine that was found to lack a model is tried again after this
local MOST_EXCLUDED = 5
local LONGEST_BACKOFF_MS = 3600000
local ATTEMPTS = '3' -- that are not written down
local WORTH_MS = 60000 -- of a point of priority, unless the pool says otherwise
local USUAL_LEASE_MS = 60000
local BODY_BYTES = 64 -- what is longer would make the record's hash four times as large
local PAYLOAD = 10 -- steps of one that is freed
local MOST_TRIES, REASON_BYTES = 8, 300 -- of the tries that ended otherwise than well

function routing.job_key(root, id) return root .. ':job:' .. id end

-- The fields asked for, by name; nil when there is no such job.
function routing.job(root, id, ...)
  local names = {'st', ...}
  local found, job = redis.call('HMGET', routing.job_key(root, id), unpack(names)), {}
  if not found[1] then return nil end
  for n, name in ipairs(names) do job[name] = found[n] or nil end
  return job
end

-- Where it stands among others, as text; nil when that is not known.
function routing.score(root, id, job)
  return job.s and job.st == 'pending' and redis.call('ZSCORE', root .. ':queue:' .. job.s, id) or job.p
end

-- When it was submitted, in ms since 1970.
function routing.submitted(job, score)
  if job.at then return tonumber(job.at) end
  return math.floor(tonumber(score or '0') / 1000 + tonumber(job.pr or '0') * WORTH_MS)
end

function routing.is_usual_worth(us) return us == WORTH_MS * 1000 end

function routing.body(root, id)
  return redis.call('HGET', routing.job_key(root, id), 'b') or redis.call('GET', root .. ':body:' .. id) or ''
end

-- The record of the running fleet.
function routing.old_key(root, id) return string.sub(root, 1, -#'routing' - 1) .. 'job:' .. id end

-- us since 1970 as ISO 8601, UTC.
function routing.iso(now)
  local days, seconds = math.floor(now / 86400e6), math.floor(now / 1e6) % 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day, month = doy - math.floor((153 * mp + 2) / 5) + 1, mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day, math.floor(seconds / 3600),
    math.floor(seconds / 60) % 60, seconds % 60, math.floor(now / 1e3) % 1000)
end

-- A job that came from jobs:pending: those who look at its old record see what happens.
local function tell_old(root, id, now, ...)
  local key = routing.old_key(root, id)
  if redis.call('TYPE', key)['ok'] == 'hash' then
    local fields = {...}
    for n = 1, #fields do
      if fields[n] == 'NOW' then fields[n] = routing.iso(now) end
    end
    redis.call('HSET', key, unpack(fields))
  end
end

-- Into the queue of its signature, at its own score; the facets that are named now count.
function routing.place(root, id, job, now)
  local parts = routing.parts(root, job.s)
  if not parts then return routing.bury(root, id, job, 'its requirements are gone: submit it anew', now) end
  local excluded = job.x and cjson.decode(job.x) or nil
  local wanted = routing.with_facets(root, parts, job.c, job.wf, excluded)
  local sid, why = job.s, nil
  if wanted ~= parts then sid, why = routing.signature(root, routing.canonical(wanted)) end
  if not sid then return routing.bury(root, id, job, why, now) end
  if sid ~= job.s then
    routing.refer(root, sid, 1, now)
    routing.refer(root, job.s, -1, now)
  end
  redis.call('HSET', routing.job_key(root, id), 'st', 'pending', 's', sid)
  routing.enqueue(root, sid, id, job.p)
  if wanted.elsewhere then redis.call('ZADD', root .. ':kept_away', 'NX', text_of(now / 1000 + LIFTED_AFTER_MS), sid) end
  routing.ring(root, sid, 1)
  return sid
end

-- A waiting job whose signature lacks a facet that is named now moves to the right one.
function routing.sort_anew(root, sid, id, score)
  local job = routing.job(root, id, 'c', 'wf', 'x')
  if not job then return routing.dequeue(root, sid, id) end
  if not job.c and not job.wf then return end
  local parts = routing.parts(root, sid)
  local wanted = routing.with_facets(root, parts, job.c, job.wf, parts.elsewhere)
  if wanted == parts then return end
  routing.dequeue(root, sid, id)
  job.s, job.p = sid, score
  routing.place(root, id, job, routing.now())
end

function routing.bury(root, id, job, why, now)
  redis.call('HSET', routing.job_key(root, id), 'st', 'dead', 'why', why, 'p', job.p or '0')
  redis.call('ZADD', root .. ':dead', text_of(now / 1000), id)
  if job.l then tell_old(root, id, now, 'status', 'failed', 'failed_at', 'NOW', 'error', why) end
end

local OPTIONAL = {'pr', 'pol', 'c', 'wf', 'l', 'lf'}
local fields = {'st', 'pending', 's'} -- of a new job; used again by the next one

local function written_down(job, at)
  local last = 4
  fields[4] = job.s
  if job.mx ~= ATTEMPTS then fields[5], fields[6], last = 'mx', job.mx, 6 end
  if at then fields[last + 1], fields[last + 2], last = 'at', at, last + 2 end
  for _, name in ipairs(OPTIONAL) do
    local value = job[name]
    if value and value ~= '' and value ~= '0' and value ~= 'wait' then fields[last + 1], fields[last + 2], last = name, value, last + 2 end
  end
  return last
end

-- Written once, and without what need not be: while a job waits, its score stands in the queue; three attempts are usual; and
-- when it was submitted follows from its score, unless a point of priority has another worth here. `job`: s p pr mx pol c wf l lf.
function routing.add(root, id, job, payload, now, told)
  local last = written_down(job, told and text_of(math.floor(now / 1000)))
  if #payload > BODY_BYTES then redis.call('SET', root .. ':body:' .. id, payload)
  elseif payload ~= '' then fields[last + 1], fields[last + 2], last = 'b', payload, last + 2 end
  redis.call('HSET', routing.job_key(root, id), unpack(fields, 1, last))
  redis.call('HINCRBY', root, 'jobs', 1)
  routing.refer(root, job.s, 1, now)
  routing.enqueue(root, job.s, id, job.p)
  routing.ring(root, job.s, 1)
end

-- A job that stands in a queue, as far as a claim must know it, into the table `job`. False when its record is gone or not waiting.
function routing.waiting(root, id, score, job)
  local key = routing.job_key(root, id)
  local found = redis.call('HMGET', key, 'st', 's', 'a', 'pr', 'l', 'b', 'pol', 'at')
  if found[1] ~= 'pending' then return false end
  job.key, job.id, job.p, job.st, job.s, job.a = key, id, score, 'pending', found[2], found[3] and text_of(tonumber(found[3]) + 1) or '1'
  job.pr, job.l, job.b, job.pol, job.at = found[4] or nil, found[5] or nil, found[6] or nil, found[7] or nil, found[8] or nil
  return true
end

local flat_tokens, flat_leases = {}, {}

-- Gives jobs that wait to the workers that asked, see routing.deal: those of these numbers, each to its claim.
function routing.start(root, pool, asked, numbers, now)
  local machine, taken, jobs = asked.machine, math.floor(now / 1000), asked.jobs
  local at, deadline, last = text_of(taken), text_of(taken + asked.lease), 2 * #numbers
  for n, number in ipairs(numbers) do
    flat_tokens[2 * n - 1], flat_tokens[2 * n] = asked.tokens[number], jobs[number].id
    flat_leases[2 * n - 1], flat_leases[2 * n] = deadline, jobs[number].id
  end
  redis.call('HSET', root .. ':tokens', unpack(flat_tokens, 1, last)) -- first: by these leases are found again
  redis.call('ZADD', root .. ':leases', unpack(flat_leases, 1, last))
  for _, number in ipairs(numbers) do
    local job, token, worker, models = jobs[number], asked.tokens[number], asked.workers[number], nil
    redis.call('HSET', job.key, 'st', 'running', 't', token, 'w', worker, 'm', machine, 'a', job.a, 'p', job.p, 'ta', at)
    if job.l then tell_old(root, job.id, now, 'status', 'assigned', 'worker_id', worker, 'machine_id', machine, 'assigned_at', 'NOW') end
    if job.b and not job.l and not asked.old then routing.hold(pool, token, job.id) end
    job.asks, models = routing.read_lines(routing.lines_known(root, pool, job.s))
    job.deadline = deadline
    routing.ran(root, pool, machine, models, now)
  end
  routing.claimed(root, pool, jobs, numbers)
end

-- What a claim with this token got before, `id`, if it still runs; its lease is renewed.
function routing.again(root, id, token, machine, worker, lease_ms, now)
  local job = id and routing.job(root, id, 's', 'a', 'pr', 't', 'w', 'm', 'b')
  if not job or job.st ~= 'running' or job.t ~= token or job.w ~= worker or job.m ~= machine then return nil end
  job.id, job.deadline = id, text_of(math.floor(now / 1000) + lease_ms)
  redis.call('ZADD', root .. ':leases', job.deadline, id)
  return job
end

function routing.release(root, id, token)
  redis.call('ZREM', root .. ':leases', id)
  if not token then return end
  redis.call('HDEL', root .. ':tokens', token)
  routing.let_go_of(root, token)
end

-- The task: leases of jobs that run, from their tokens. How long they were is known no more.
function routing.find_leases(root, cursor, steps)
  local page = redis.call('HSCAN', root .. ':tokens', text_of(cursor), 'COUNT', text_of(math.max(10, steps)))
  local ends = text_of(math.floor(routing.now() / 1000) + USUAL_LEASE_MS)
  for n = 1, #page[2], 2 do
    local token, id = page[2][n], page[2][n + 1]
    local job = routing.job(root, id, 't')
    if job and job.st == 'running' and job.t == token then redis.call('ZADD', root .. ':leases', 'NX', ends, id) end
  end
  local go_on = tonumber(page[1])
  return go_on > 0 and go_on or nil, #page[2] / 2 + 1
end

-- Who comes with this token: nil if it is the holder, else GONE, CANCELLED or STALE.
function routing.refusal(job, token)
  if not job then return 'GONE' end
  if job.st == 'cancelled' then return 'CANCELLED' end
  if job.st ~= 'running' or job.t ~= token then return 'STALE' end
end

-- The record says that it is over.
local function ended(root, id, result, at)
  if result == '' then redis.call('HSET', routing.job_key(root, id), 'st', 'done', 'te', at)
  else redis.call('HSET', routing.job_key(root, id), 'st', 'done', 'te', at, 'rs', result) end
end

local function over(root, id, result, keep_ms, now)
  local at = math.floor(now / 1000)
  ended(root, id, result, text_of(at))
  redis.call('ZADD', root .. ':done', text_of(at + keep_ms), id)
end

-- DONE exactly once; REPEAT for the same token again.
function routing.complete(root, id, token, result, keep_ms, now)
  local found = redis.call('HMGET', routing.job_key(root, id), 'st', 't', 'l', 'b')
  local job = found[1] and {st = found[1], t = found[2] or nil, l = found[3] or nil, b = found[4] or nil} or nil
  if job and job.st == 'done' and job.t == token then return 'REPEAT' end
  local refusal = routing.refusal(job, token)
  if refusal then return refusal end
  routing.release(root, id, token)
  over(root, id, result, keep_ms, now)
  if not job.b then redis.call('DEL', root .. ':body:' .. id) end
  if job.l then tell_old(root, id, now, 'status', 'completed', 'completed_at', 'NOW') end
  return 'DONE'
end

-- The same; of what was given out here the record need not be read: whoever ends a run deletes its token.
function routing.complete_held(root, pool, id, token, result, keep_ms, now)
  if pool.held[token] ~= id then return routing.complete(root, id, token, result, keep_ms, now) end
  routing.let_go(pool, token)
  if redis.call('HDEL', root .. ':tokens', token) == 0 then return routing.complete(root, id, token, result, keep_ms, now) end
  redis.call('ZREM', root .. ':leases', id)
  over(root, id, result, keep_ms, now)
  return 'DONE'
end

local done_tokens, done_ids = {}, {}

-- How many jobs the claims have finished, if all of these were given out here and were still running; their tokens are gone then.
local function all_held(root, pool, asked)
  local number = 0
  for n = 1, asked.number do
    if asked.done[n] ~= '' then
      if pool.held[asked.done_tokens[n]] ~= asked.done[n] then return nil end
      number = number + 1
      done_tokens[number], done_ids[number] = asked.done_tokens[n], asked.done[n]
    end
  end
  if number == 0 then return nil end
  for n = 1, number do routing.let_go(pool, done_tokens[n]) end
  return redis.call('HDEL', root .. ':tokens', unpack(done_tokens, 1, number)) == number and number or nil
end

local function all_over(root, asked, number, keep_ms, now)
  local at, answers = math.floor(now / 1000), asked.finished
  local ended_at, until_ms = text_of(at), text_of(at + keep_ms)
  redis.call('ZREM', root .. ':leases', unpack(done_ids, 1, number))
  for n = 1, asked.number do
    answers[n] = asked.done[n] ~= '' and 'DONE' or ''
    if asked.done[n] ~= '' then ended(root, asked.done[n], asked.results[n], ended_at) end
  end
  for n = number, 1, -1 do done_ids[2 * n], done_ids[2 * n - 1] = done_ids[n], until_ms end
  redis.call('ZADD', root .. ':done', unpack(done_ids, 1, 2 * number))
end

-- What several claims have finished; their answers. `asked` has besides done, done_tokens and results, and gets finished.
function routing.complete_all(root, pool, asked, keep_ms, now)
  local number = all_held(root, pool, asked)
  if number then return all_over(root, asked, number, keep_ms, now) end
  for n = 1, asked.number do
    asked.finished[n] = asked.done[n] == '' and '' or routing.complete(root, asked.done[n], asked.done_tokens[n], asked.results[n], keep_ms, now)
  end
end

local function delayed(root, id, job, why, wait_ms, now)
  local due = text_of(math.floor(now / 1000) + wait_ms)
  redis.call('HSET', routing.job_key(root, id), 'st', 'delayed', 'why', why)
  redis.call('ZADD', root .. ':delayed', due, id)
  return {'DELAYED', due}
end

local function excluding(job, machine)
  local excluded, found = job.x and cjson.decode(job.x) or {}, false
  for _, each in ipairs(excluded) do found = found or each == machine end
  if not found then excluded[#excluded + 1] = machine end
  while #excluded > MOST_EXCLUDED do table.remove(excluded, 1) end
  table.sort(excluded)
  return routing.list_json(excluded)
end

local function exclude(root, id, job)
  job.x = excluding(job, job.m)
  redis.call('HSET', routing.job_key(root, id), 'x', job.x)
end

-- A try that did not end well, into the job's record: its last ones stay there, one a line. Where all goes well nothing is written.
local function remember_try(root, id, job, how, why, now)
  if #why > REASON_BYTES then why = string.gsub(string.sub(why, 1, REASON_BYTES), '[\192-\255]?[\128-\191]*$', '') end
  local tries = {}
  for line in string.gmatch(job.tr or '', '[^\n]+') do tries[#tries + 1] = line end
  tries[#tries + 1] = routing.canonical{machine = job.m or '', worker = job.w or '', attempt = tonumber(job.a) or 1,
    began_ms = tonumber(job.ta) or 0, ended_ms = math.floor(now / 1000), how = how, why = why}
  redis.call('HSET', routing.job_key(root, id), 'tr', table.concat(tries, '\n', math.max(1, #tries - MOST_TRIES + 1)))
end

-- A run that failed. See mm_fail for the modes; `how` it ended where that is none of them.
function routing.failed(root, id, job, mode, why, backoff_ms, now, how)
  routing.release(root, id, job.t)
  remember_try(root, id, job, how or mode, why, now)
  redis.call('HDEL', routing.job_key(root, id), 't', 'w', 'm', 'ta')
  local attempts = tonumber(job.a or '1')
  if mode == 'missing_model' or mode == 'elsewhere' then exclude(root, id, job) end
  if mode == 'missing_model' then
    routing.count(root, 'claims_missing', 1)
    redis.call('HSET', routing.job_key(root, id), 'a', text_of(attempts - 1), 'why', why)
    return routing.place(root, id, job, now) and {'PENDING'} or {'DEAD'}
  end
  if mode == 'final' or attempts >= tonumber(job.mx or ATTEMPTS) then
    routing.bury(root, id, job, why, now)
    return {'DEAD'}
  end
  local wait_ms = math.min(backoff_ms * 2 ^ math.min(attempts - 1, 30), LONGEST_BACKOFF_MS)
  if wait_ms >= 1 then return delayed(root, id, job, why, math.floor(wait_ms), now) end
  redis.call('HSET', routing.job_key(root, id), 'why', why)
  return routing.place(root, id, job, now) and {'PENDING'} or {'DEAD'}
end

local FOR_PLACE = {'s', 'p', 'a', 'mx', 't', 'c', 'wf', 'x', 'm', 'w', 'l', 'lf', 'ta', 'tr'}

function routing.placeable(root, id) return routing.job(root, id, unpack(FOR_PLACE)) end

local function expire(root, now, limit, told)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', root .. ':leases', '-inf', text_of(now / 1000), 'LIMIT', 0, limit)) do
    local job = routing.placeable(root, id)
    if not job or job.st ~= 'running' then
      routing.release(root, id, job and job.t)
    elseif not (job.l and routing.follow_old and routing.follow_old(root, id, job, now)) then
      local why = 'its worker ' .. (job.w or '') .. ' was not heard of until the lease ended'
      local answer = routing.failed(root, id, job, 'retry', why, 0, now, 'lease')
      if answer[1] == 'DEAD' then told.dead = told.dead + 1 else told.requeued = told.requeued + 1 end
    end
    if routing.is_too_much() then return end
  end
end

local function promote(root, now, limit, told)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', root .. ':delayed', '-inf', text_of(now / 1000), 'LIMIT', 0, limit)) do
    redis.call('ZREM', root .. ':delayed', id)
    local job = routing.placeable(root, id)
    if job and job.st == 'delayed' and routing.place(root, id, job, now) then told.promoted = told.promoted + 1 end
    if routing.is_too_much() then return end
  end
end

-- What is over and old is forgotten. Jobs that were cancelled still have their payloads, and freeing one of 1 MiB takes 0.2 ms.
local function tidy(root, now, limit)
  local ids, number = redis.call('ZRANGEBYSCORE', root .. ':done', '-inf', text_of(now / 1000), 'LIMIT', 0, limit), 0
  for n, id in ipairs(ids) do
    local key = routing.job_key(root, id)
    local sid, gone = redis.call('HGET', key, 's'), redis.call('DEL', key, root .. ':body:' .. id)
    if sid then routing.refer(root, sid, -1, now) end
    if gone > 1 then routing.weigh(PAYLOAD) end
    number = n
    if gone > 1 and routing.is_too_much() then break end
  end
  if number == 0 then return end
  redis.call('ZREM', root .. ':done', unpack(ids, 1, number))
  redis.call('HINCRBY', root, 'jobs', -number)
end

-- Leases that ended, delays that are over, what may be forgotten: at most `limit` of each.
function routing.due(root, now, limit)
  local told = {requeued = 0, dead = 0, promoted = 0}
  expire(root, now, limit, told)
  promote(root, now, limit, told)
  tidy(root, now, limit)
  return told
end

-- Whether something waits again that did not a moment ago.
function routing.came_back(root, now, limit)
  local told = {requeued = 0, dead = 0, promoted = 0}
  expire(root, now, limit, told)
  promote(root, now, limit, told)
  return told.requeued + told.promoted > 0
end

-- Exclusions whose time is over.
local function lift(root, now, limit)
  for _, sid in ipairs(redis.call('ZRANGEBYSCORE', root .. ':kept_away', '-inf', text_of(now / 1000), 'LIMIT', 0, 4)) do
    local ids = redis.call('ZRANGE', root .. ':queue:' .. sid, 0, limit - 1)
    for _, id in ipairs(ids) do
      redis.call('HDEL', routing.job_key(root, id), 'x')
      local job = routing.placeable(root, id)
      routing.dequeue(root, sid, id)
      if job then routing.place(root, id, job, now) end
      if routing.is_too_much() then return end
    end
    if #ids < limit then redis.call('ZREM', root .. ':kept_away', sid) end
  end
end

-- Signatures that nobody asked for in an hour.
local function forget_spare(root, now)
  local old = text_of(now / 1000 - 3600000)
  for _, sid in ipairs(redis.call('ZRANGEBYSCORE', root .. ':spare', '-inf', old, 'LIMIT', 0, 4)) do
    if routing.is_too_much() then return end
    routing.forget(root, sid)
  end
end

-- Rings for what waits at the head, in turns: a ring may have been lost with the worker that heard it.
local function ring_again(root, limit)
  if redis.call('EXISTS', root .. ':parked') == 0 then return 0 end
  local from, rung = tonumber(redis.call('HGET', root, 'rung') or '0'), 0
  local sids = redis.call('ZRANGE', root .. ':heads', from, from + limit - 1)
  for _, sid in ipairs(sids) do rung = rung + routing.ring(root, sid, 1) end
  redis.call('HSET', root, 'rung', #sids < limit and '0' or text_of(from + limit))
  return rung
end

-- The rest of the housekeeping. How many were rung.
function routing.heal(root, now, limit)
  lift(root, now, limit)
  forget_spare(root, now)
  routing.end_seats(root, now, limit)
  return ring_again(root, 16)
end

-- Out of the queue, the delay or the hands of its worker. False when it is over already.
function routing.cancel(root, id, job, now)
  if job.st == 'pending' then
    redis.call('HSET', routing.job_key(root, id), 'p', routing.score(root, id, job) or '0')
    routing.dequeue(root, job.s, id)
  elseif job.st == 'delayed' then redis.call('ZREM', root .. ':delayed', id)
  elseif job.st == 'running' then
    routing.release(root, id, job.t)
    remember_try(root, id, job, 'cancelled', '', now)
  else return false end
  redis.call('HSET', routing.job_key(root, id), 'st', 'cancelled')
  redis.call('ZADD', root .. ':done', text_of(now / 1000 + routing.keep_ms(root)), id)
  if job.l then tell_old(root, id, now, 'status', 'cancelled', 'cancelled_at', 'NOW') end
  return true
end

-- Once more from the start. False when it waits, runs or is done.
function routing.retry(root, id, job, now)
  if job.st == 'dead' then redis.call('ZREM', root .. ':dead', id)
  elseif job.st == 'cancelled' then redis.call('ZREM', root .. ':done', id)
  elseif job.st == 'delayed' then redis.call('ZREM', root .. ':delayed', id)
  else return false end
  redis.call('HDEL', routing.job_key(root, id), 'a', 'x', 'why', 't', 'w', 'm', 'ta')
  job.x = nil
  return routing.place(root, id, job, now) ~= nil
end
