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
local REMEMBERED = 20000

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

-- UNKNOWN, AWAY or STALE; or the seat.
local function seated(root, keys, claim, now)
  local seat = routing.seat(root, claim.machine, claim.seat)
  if not seat then return nil, 'UNKNOWN' end
  if seat.ends > 0 and seat.ends < now / 1000 then return nil, 'AWAY' end
  if seat.declared and seat.ends > 0 then return seat end
  if redis.call('EXISTS', keys[2]) == 0 then return nil, 'AWAY' end
  local at = redis.pcall('HMGET', keys[3], 'epoch', 'seq')
  local stored = at[1] and at[2] and at[1] .. ' ' .. at[2] or false
  if not seat.declared and redis.call('HGET', root .. ':at', seat.ord) ~= stored then return nil, 'STALE' end
  return seat
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

-- Takes the best job out of its queue and starts it. Nil when there is none for this seat, and whether that is so until the pool turns.
function routing.take_best(root, seat, claim, now)
  local keys = {root .. ':fit:' .. seat.profile}
  if not seat.declared then keys[2] = root .. ':row:' .. seat.ord end
  local maps, passed = {}, {}
  for n, key in ipairs(keys) do
    maps[n] = redis.call('GET', key)
    if not maps[n] then return nil, nil, true end
  end
  for _ = 1, TRIES do
    local sid = routing.best(root, keys, maps, passed)
    if not sid then return nil, nil, next(passed) == nil end
    if claim.bonus > 0 and #claim.hot > 0 then sid = routing.warmest(root, sid, claim.hot, claim.bonus * 1000, maps, passed) end
    if kept_away(root, sid, seat, claim) then
      passed[sid] = true
    else
      local id, score = routing.pop(root, sid)
      local job = id and routing.start(root, id, score, claim.machine, claim.worker, claim.token, claim.lease, now)
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

-- Seats that had nothing, as this server remembers them. That holds until the pool turns: its turn has a new value whenever a seat may
-- have something that had nothing. Nobody else knows these, and nobody needs to.
local idle, remembered = {}, 0

local function name_of(root, claim) return root .. '\n' .. claim.machine .. '\n' .. claim.seat end

local function remember(root, claim, seat)
  if remembered >= REMEMBERED then idle, remembered = {}, 0 end
  local name = name_of(root, claim)
  if not idle[name] then remembered = remembered + 1 end
  idle[name] = {turn = routing.turn(root), seat = seat}
end

-- The seat, if there can be nothing for it.
local function still_idle(root, keys, claim, turn, now)
  local before = turn and idle[name_of(root, claim)]
  if not before or before.turn ~= turn then return nil end
  local seat = before.seat
  if seat.ends > 0 and seat.ends < now / 1000 then return nil end
  if seat.declared and seat.ends > 0 then return seat end
  return redis.call('EXISTS', keys[2]) == 1 and seat or nil
end

local function keep_house(root, now)
  if math.floor(now / 1000) % EVERY > 0 then return routing.came_back(root, now, DOSE) end
  local told = routing.due(root, now, DOSE)
  return told.requeued + told.promoted > 0
end

local function empty(root, seat, claim, now, finished, more)
  local wait, bell = wait_of(root, claim, now), ''
  if claim.park > 0 then
    bell = routing.bell(root, claim.machine, claim.worker)
    routing.park(root, seat, claim.worker, math.floor(now / 1000) + claim.park + 1000)
  end
  return {'EMPTY', bell, text_of(wait), more and '1' or '0', finished}
end

local function mm_claim(keys, arguments)
  local root, now = keys[1], routing.now()
  local claim, why = read(arguments)
  if why then return routing.bad(why) end
  local finished = ''
  if claim.job ~= '' then
    finished = routing.complete(root, claim.job, claim.job_token, claim.result, routing.keep_ms(root), now)
  end
  local before, turn = routing.token(root, claim.token)
  local seat, not_now = not before and still_idle(root, keys, claim, turn, now), nil
  if seat and not keep_house(root, now) then
    routing.unpark(root, seat, claim.worker)
    return empty(root, seat, claim, now, finished, false)
  end
  local more = routing.settle(root, STEPS)
  if math.floor(now / 1000) % EVERY == 0 then routing.due(root, now, DOSE) end
  seat, not_now = seated(root, keys, claim, now)
  if not seat then return {not_now, finished} end
  local job, id, certain = routing.again(root, before, claim.token, claim.machine, claim.worker, claim.lease, now)
  if job then return told(root, job, id, finished) end
  routing.unpark(root, seat, claim.worker)
  job, id, certain = routing.take_best(root, seat, claim, now)
  if not job and routing.came_back(root, now, DOSE) then job, id, certain = routing.take_best(root, seat, claim, now) end
  if job then return told(root, job, id, finished) end
  if certain and not more then remember(root, claim, seat) end
  return empty(root, seat, claim, now, finished, more)
end

register('mm_claim', mm_claim, {'allow-oom'})
