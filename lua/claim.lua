-- mm_claim: the best job that this worker can do now, leased to it; first, if given, what it has finished is completed.
--
-- KEYS  1 routing   2 machine:{id}:model_manager (read)   3 machine:{id}:models (read)
-- ARGV  machine id, worker, seat (empty = the machine's), claim token (a new one for each claim; the same one again gives the same
--       job again), lease in ms, time to park in ms (0 = not), head start of hot signatures in ms (at most 120000),
--       finished job (empty = none), its token, its result, number of hot signatures (at most 8), the signatures
-- Returns JOB id signature payload attempt deadline(ms of the server's clock) requirements(JSON) priority finished
--       | EMPTY bell(a list to BLPOP; empty = not parked) wait(ms after which to ask anyway) more finished
--       | UNKNOWN finished (mm_offer first) | AWAY finished (no live lease) | STALE finished (the machine's inventory is further
--       than what is indexed: its agent sends a snapshot at its next beat) | BAD reason
-- finished  empty, or what mm_complete says.

local LONGEST_LEASE, LONGEST_PARK, LONGEST_BONUS, RESULT_BYTES = 86400000, 3600000, 120000, 4096
local DOSE, EVERY, STEPS, TRIES, IDLE_WAIT = 16, 8, 20, 10, 30000 -- housekeeping in one of eight claims, by the clock

local function read(arguments)
  local take = taker(arguments)
  local claim = {machine = take(), worker = take(), seat = take(), token = take(), lease = routing.whole(take(), 100, LONGEST_LEASE),
    park = routing.whole(take(), 0, LONGEST_PARK), bonus = routing.whole(take(), 0, LONGEST_BONUS),
    job = take(), job_token = take(), result = take(), hot = {}}
  if not (routing.is_machine(claim.machine) and routing.is_word(claim.worker) and routing.is_word(claim.token)) then
    return nil, 'the machine, the worker or the token is no id'
  end
  if not (claim.lease and claim.park and claim.bonus) then return nil, 'the lease, the time to park or the head start is out of bounds' end
  if not claim.result or #claim.result > RESULT_BYTES then return nil, 'the result is longer than 4096 bytes' end
  local number = routing.whole(take(), 0, 8)
  if not number then return nil, 'there are more than 8 hot signatures' end
  for n = 1, number do
    claim.hot[n] = take()
    if not routing.whole(claim.hot[n], 0, 1e9) then return nil, 'a hot signature is no number' end
  end
  return claim
end

local function is_over(seat, now) return seat.ends > 0 and seat.ends < now / 1000 end

-- Whether the machine's inventory is indexed as far as it is stored.
local function is_indexed(root, keys, known)
  if known.seat.declared then return true end
  local stored = redis.pcall('HMGET', keys[3], 'epoch', 'seq')
  stored = stored[1] and stored[2] and stored[1] .. ' ' .. stored[2] or false
  if known.at == stored and stored then return true end
  known.at = redis.call('HGET', root .. ':at', known.seat.ord)
  return known.at == stored
end

-- UNKNOWN, AWAY or STALE; or what is known of the seat.
local function seated(root, pool, keys, claim, name, now)
  local known = pool.known[name]
  if not known or known.seat.ends > 0 then
    local seat = routing.seat(root, claim.machine, claim.seat)
    if not seat then return nil, 'UNKNOWN' end
    known = routing.know(pool, name, seat)
  end
  local seat = known.seat
  if is_over(seat, now) then return nil, 'AWAY' end
  if seat.declared and seat.ends > 0 then return known end
  if redis.call('EXISTS', keys[2]) == 0 then return nil, 'AWAY' end
  if not is_indexed(root, keys, known) then return nil, 'STALE' end
  return known
end

-- What no bitmap knows: a seat without a row that is excluded by its machine, a worker of the running fleet that failed the job last.
local function kept_away(root, sid, seat, claim)
  if not seat.declared and not claim.old then return false end
  local parts = routing.parts(root, sid) or {}
  if claim.old and parts.not_worker == claim.worker then return true end
  if not seat.declared then return false end
  for _, each in ipairs(parts.elsewhere or {}) do
    if each == claim.machine then return true end
  end
  return false
end

local function is_hot(claim, sid)
  for _, each in ipairs(claim.hot) do
    if each == sid then return true end
  end
  return false
end

-- The keys of the bitmaps that decide for a seat, and the bitmaps; nil when it has none.
local function bitmaps(root, pool, seat)
  local fit = routing.fit_of(root, pool, seat.profile)
  if not fit then return nil end
  local keys, maps = {root .. ':fit:' .. seat.profile}, {fit}
  if seat.declared then return keys, maps end
  keys[2] = root .. ':row:' .. seat.ord
  maps[2] = redis.call('GET', keys[2]) or nil
  return maps[2] and keys, maps
end

-- Takes the best job out of its queue and starts it. Nil when there is none for this seat, and whether that is so until the pool turns.
function routing.take_best(root, pool, seat, claim, now)
  local keys, maps = bitmaps(root, pool, seat)
  if not keys then return nil, nil, true end
  local passed, cursor = {}, not seat.declared and not claim.old and routing.cursor(pool, seat, maps) or nil
  for _ = 1, TRIES do
    local best, base = routing.best(root, pool, keys, maps, passed, cursor and cursor.score)
    if not best then
      if cursor then cursor.score = math.huge end
      return nil, nil, next(passed) == nil
    end
    local sid = best
    if claim.bonus > 0 and #claim.hot > 0 then sid = routing.warmest(root, best, claim.hot, claim.bonus * 1000, maps, passed) end
    if kept_away(root, sid, seat, claim) then
      passed[sid] = true
    else
      local id, score = routing.pop(root, sid, base)
      if cursor and id and sid == best then cursor.score = tonumber(score) end
      local job = id and routing.start(root, pool, id, score, claim.machine, claim.worker, claim.token, claim.lease, now)
      if job and is_hot(claim, sid) then routing.count(root, 'claims_hot') end
      if job then return job, id end
    end
  end
end

local function told(root, job, id, finished)
  return {'JOB', id, job.s, job.b or redis.call('GET', root .. ':body:' .. id) or '', job.a, job.deadline,
    job.asks or (routing.requirement(root, job.s)), job.pr or '0', finished}
end

-- When something may change by itself: a delay that ends, a lease that runs out.
local function wait_of(root, claim, now)
  if claim.park == 0 then return IDLE_WAIT end
  local wait = math.min(claim.park, IDLE_WAIT)
  for _, name in ipairs{':delayed', ':leases'} do
    local first = redis.call('ZRANGE', root .. name, 0, 0, 'WITHSCORES')
    if first[2] then wait = math.min(wait, tonumber(first[2]) - math.floor(now / 1000) + 1) end
  end
  return math.max(wait, 10)
end

local function name_of(claim) return claim.machine .. '\n' .. claim.seat end

-- What is known of the seat, if there can be nothing for it.
local function still_idle(pool, keys, name, now)
  local known = pool.known[name]
  if not known or not known.idle or is_over(known.seat, now) then return nil end
  if known.seat.declared and known.seat.ends > 0 then return known end
  return redis.call('EXISTS', keys[2]) == 1 and known or nil
end

local function keep_house(root, now)
  if math.floor(now / 1000) % EVERY > 0 then return routing.came_back(root, now, DOSE) end
  local told = routing.due(root, now, DOSE)
  return told.requeued + told.promoted > 0
end

local function empty(root, known, claim, now, finished, more)
  local wait, bell = wait_of(root, claim, now), ''
  if claim.park > 0 then
    bell = routing.bell(root, claim.machine, claim.worker)
    routing.park(root, known.seat, claim.worker, math.floor(now / 1000) + claim.park + 1000)
    known.up[claim.worker] = nil
  end
  return {'EMPTY', bell, text_of(wait), more and '1' or '0', finished}
end

-- Indexing goes on, and now and then leases and delays that ended are looked at. Whether there is more to index.
local function go_on(root, pool, now)
  local more = false
  if not pool.settled then
    local left
    more, left = routing.settle(root, STEPS)
    pool.settled = left == STEPS
  end
  if math.floor(now / 1000) % EVERY == 0 then routing.due(root, now, DOSE) end
  return more
end

local function mm_claim(keys, arguments)
  local root, now = keys[1], routing.now()
  local claim, why = read(arguments)
  if why then return routing.bad(why) end
  local before, turn = routing.token(root, claim.token)
  local pool, finished = routing.pool(root, turn), ''
  if claim.job ~= '' then
    finished = routing.complete(root, claim.job, claim.job_token, claim.result, routing.keep_ms(root, pool), now)
  end
  local name = name_of(claim)
  local known, not_now = not before and still_idle(pool, keys, name, now), nil
  if known and not keep_house(root, now) then
    routing.rise(root, pool, known, claim.worker)
    return empty(root, known, claim, now, finished, false)
  end
  local more = go_on(root, pool, now)
  known, not_now = seated(root, pool, keys, claim, name, now)
  if not known then return {not_now, finished} end
  local job, id, certain = routing.again(root, before, claim.token, claim.machine, claim.worker, claim.lease, now)
  if job then return told(root, job, id, finished) end
  routing.rise(root, pool, known, claim.worker)
  job, id, certain = routing.take_best(root, pool, known.seat, claim, now)
  if not job and routing.came_back(root, now, DOSE) then job, id, certain = routing.take_best(root, pool, known.seat, claim, now) end
  if job then return told(root, job, id, finished) end
  known.idle = certain and not more and pool.known[name] == known
  return empty(root, known, claim, now, finished, more)
end

register('mm_claim', mm_claim, {'allow-oom'})
