-- mm_next: several workers of one seat at once: what they have finished is completed, and each gets the best job that is left.
--
-- KEYS  1 routing   2 machine:{id}:model_manager (read)   3 machine:{id}:models (read)
-- ARGV  machine id, seat, lease in ms, number of workers (1 to 8), and for each what mm_claim calls so: worker, claim token, finished job
--       (empty = none), its token, its result
-- Returns OK, and for each worker nine values: JOB and what mm_claim says after it | EMPTY, seven empty ones, finished | AGAIN (those
--       before it took long, or not all is indexed: ask mm_claim, with the same token and without what is finished), seven empty ones,
--       finished
--       | UNKNOWN, AWAY or STALE, and for each worker finished | BAD reason (nothing was written)
-- Nobody is parked: who got nothing and wants to wait asks mm_claim.

local MOST, EACH, VALUES = 8, 5, 4

local function read(arguments)
  local number = routing.whole(arguments[VALUES], 1, MOST)
  if not number or #arguments ~= VALUES + EACH * number then return nil, 'there are not 1 to 8 workers of five values each' end
  local claims, tokens, seen = {}, {}, {}
  for n = 1, number do
    local at, why = VALUES + EACH * (n - 1), nil
    claims[n], why = routing.claim_of(arguments[1], arguments[at + 1], arguments[2], arguments[at + 2], arguments[3], '0', '0',
      arguments[at + 3], arguments[at + 4], arguments[at + 5])
    if why then return nil, why end
    tokens[n] = claims[n].token
    if seen[tokens[n]] then return nil, 'two workers have one token' end
    seen[tokens[n]] = true
  end
  return claims, nil, tokens
end

local function without(reply, word, finished)
  reply[#reply + 1] = word
  for _ = 1, 7 do reply[#reply + 1] = '' end
  reply[#reply + 1] = finished
end

-- The job that this claim had before, or the best one. Nil for none.
local function one(root, pool, known, claim, before, now)
  local job, id = routing.again(root, before, claim.token, claim.machine, claim.worker, claim.lease, now)
  if job then return job, id end
  routing.rise(root, pool, known, claim.worker)
  return routing.take_best(root, pool, known.seat, claim, now, known)
end

local function each(root, pool, known, claims, taken, finished, more, now)
  local reply, came_back = {'OK'}, false
  for n, claim in ipairs(claims) do
    local job, id
    local late = n > 1 and routing.is_much()
    if not late then
      job, id = one(root, pool, known, claim, taken[n] or nil, now)
      if not job and not came_back and routing.came_back(root, now, 1) then
        known.row, came_back = nil, true
        job, id = routing.take_best(root, pool, known.seat, claim, now)
      end
    end
    if job then
      for _, value in ipairs(routing.told_claim(root, job, id, finished[n])) do reply[#reply + 1] = value end
    else without(reply, (late or more) and 'AGAIN' or 'EMPTY', finished[n]) end
  end
  return reply
end

local function mm_next(keys, arguments)
  local root, now = keys[1], routing.now()
  local claims, why, tokens = read(arguments)
  if why then return routing.bad(why) end
  local taken, turn = routing.tokens_taken(root, tokens)
  local pool = routing.pool(root, turn)
  local finished = routing.complete_all(root, pool, claims, routing.keep_ms(root, pool), now)
  local more = routing.go_on(root, pool, now)
  local known, not_now = routing.seated(root, pool, keys, claims[1], now)
  if not known then return {not_now, unpack(finished)} end
  return each(root, pool, known, claims, taken, finished, more, now)
end

register('mm_next', mm_next, {'allow-oom'})
