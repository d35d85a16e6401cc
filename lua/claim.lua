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

local NO_ID, TOO_LONG = 'the machine, the worker or the token is no id', 'the result is longer than 4096 bytes'
local LONGEST_LEASE, LONGEST_PARK, LONGEST_BONUS, RESULT_BYTES = 86400000, 3600000, 120000, 4096
local DOSE, EVERY_US, STEPS, IDLE_WAIT = 16, 8000, 20, 30000
local SURE_US = 1000000
local NONE = {}

local claim = {} -- used again by the next call

-- What one worker asks, and has finished; or nil and why it cannot be meant so.
local function claim_of(machine, worker, seat, token, lease, park, bonus, job, job_token, result)
  claim.machine, claim.worker, claim.seat, claim.token = machine, worker, seat, token
  claim.lease, claim.park = routing.whole(lease, 100, LONGEST_LEASE), routing.whole(park, 0, LONGEST_PARK)
  claim.bonus, claim.job, claim.job_token = routing.whole(bonus, 0, LONGEST_BONUS), job, job_token
  claim.result, claim.hot = result, NONE
  if not (routing.is_machine(claim.machine) and routing.is_worker(claim.worker) and routing.is_word(claim.token)) then return nil, NO_ID end
  if not (claim.lease and claim.park and claim.bonus) then return nil, 'the lease, the time to park or the head start is out of bounds' end
  if not claim.result or #claim.result > RESULT_BYTES then return nil, TOO_LONG end
  return claim
end

local function read(arguments)
  local _, why = claim_of(unpack(arguments, 1, 10))
  if why then return nil, why end
  local number = routing.whole(arguments[11], 0, 8)
  if not number then return nil, 'there are more than 8 hot signatures' end
  if number > 0 then claim.hot = {} end
  for n = 1, number do
    claim.hot[n] = arguments[11 + n]
    if not routing.whole(claim.hot[n], 0, 1e9) then return nil, 'a hot signature is no number' end
  end
  return claim
end

local function is_over(seat, now) return seat.ends > 0 and seat.ends < now / 1000 end

-- Whether the machine's lease lasts. It is not asked for again before it ends, or for a second: whoever ends it earlier turns the pool, if
-- it is one of our functions.
local function is_alive(keys, known, now)
  if known.sure > now and known.since <= now then return true end
  local left = redis.call('PTTL', keys[2])
  if left == -2 then return false end
  known.since, known.sure = now, math.floor(now / 1000) * 1000 + (left < 0 and SURE_US or math.min(left * 1000, SURE_US))
  if known.seat.ends > 0 then known.sure = math.min(known.sure, known.seat.ends * 1000) end
  return true
end

-- Whether the machine's inventory is indexed as far as it is stored.
local function is_indexed(root, keys, known)
  if known.seat.declared then return true end
  local stored = redis.pcall('HMGET', keys[3], 'epoch', 'seq')
  stored = stored[1] and stored[2] and stored[1] .. ' ' .. stored[2] or false
  if known.at == stored and stored then return true end
  known.row = nil
  known.at = redis.call('HGET', root .. ':at', known.seat.ord)
  return known.at == stored
end

-- UNKNOWN, AWAY or STALE; or what is known of the seat.
function routing.seated(root, pool, keys, claim, now)
  local name = routing.seat_name(claim.machine, claim.seat)
  local known = pool.known[name]
  if known and known.sure > now and known.since <= now then return known end
  if not known or known.seat.ends > 0 then
    local seat = routing.seat(root, claim.machine, claim.seat)
    if not seat then return nil, 'UNKNOWN' end
    known = routing.know(pool, name, seat)
  end
  local seat = known.seat
  if is_over(seat, now) then return nil, 'AWAY' end
  if seat.declared and seat.ends > 0 then return known end
  if not is_alive(keys, known, now) then return nil, 'AWAY' end
  if not is_indexed(root, keys, known) then
    known.sure = 0
    return nil, 'STALE'
  end
  return known
end

local reply = {'JOB'} -- used again by the next call

function routing.told_claim(root, job, finished)
  reply[2], reply[3], reply[4] = job.id, job.s, job.b or redis.call('GET', root .. ':body:' .. job.id) or ''
  reply[5], reply[6], reply[7] = job.a, job.deadline, job.asks or routing.requirement(root, job.s)
  reply[8], reply[9] = job.pr or '0', finished
  return reply
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

-- What is known of the seat, if there can be nothing for it.
local function still_idle(pool, keys, name, now)
  local known = pool.known[name]
  if not known or known.idle ~= pool.came or is_over(known.seat, now) then return nil end
  if known.seat.declared and known.seat.ends > 0 then return known end
  return is_alive(keys, known, now) and known or nil
end

-- Leases and delays that ended are looked at, if that was not done just now. Whether something waits again.
local function keep_house(root, pool, now)
  if now - pool.looked < EVERY_US and now >= pool.looked then return false end
  pool.looked = now
  local told = routing.due(root, now, DOSE)
  return told.requeued + told.promoted > 0
end

local nothing = {'EMPTY'} -- used again by the next call

local function empty(root, known, claim, now, finished, more)
  local wait, bell = wait_of(root, claim, now), ''
  if claim.park > 0 then
    bell = routing.bell(root, claim.machine, claim.worker)
    routing.park(root, known.seat, claim.worker, math.floor(now / 1000) + claim.park + 1000)
    known.up[claim.worker] = nil
  end
  nothing[2], nothing[3], nothing[4], nothing[5] = bell, text_of(wait), more and '1' or '0', finished
  return nothing
end

-- Indexing goes on, and now and then leases and delays that ended are looked at. Whether there is more to index.
function routing.go_on(root, pool, now)
  local more = false
  if not pool.settled then
    local left
    more, left = routing.settle(root, STEPS)
    pool.settled = left == STEPS
  end
  keep_house(root, pool, now)
  return more
end

local function mm_claim(keys, arguments)
  local root, now = keys[1], routing.now()
  local _, why = read(arguments)
  if why then return routing.bad(why) end
  local before, turn = routing.token(root, claim.token)
  local pool, finished = routing.pool(root, turn), ''
  if claim.job ~= '' then
    finished = routing.complete_held(root, pool, claim.job, claim.job_token, claim.result, routing.keep_ms(root, pool), now)
  end
  local name = routing.seat_name(claim.machine, claim.seat)
  local known, not_now = not before and still_idle(pool, keys, name, now), nil
  if known and not keep_house(root, pool, now) then
    routing.rise(root, pool, known, claim.worker)
    return empty(root, known, claim, now, finished, false)
  end
  local more = routing.go_on(root, pool, now)
  known, not_now = routing.seated(root, pool, keys, claim, now)
  if not known then return {not_now, finished} end
  local job = routing.again(root, before, claim.token, claim.machine, claim.worker, claim.lease, now)
  if job then return routing.told_claim(root, job, finished) end
  routing.rise(root, pool, known, claim.worker)
  local asked = routing.alone(claim)
  local certain = routing.deal(root, pool, known.seat, asked, now, known)
  if not asked.jobs[1] and routing.came_back(root, now, DOSE) then certain = routing.deal(root, pool, known.seat, asked, now) end
  if asked.jobs[1] then return routing.told_claim(root, asked.jobs[1], finished) end
  known.idle = certain and not more and pool.known[name] == known and pool.came or nil
  return empty(root, known, claim, now, finished, more)
end

register('mm_claim', mm_claim, {'allow-oom'})
