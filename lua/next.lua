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

local MOST, EACH, VALUES, TOLD, LONGEST_LEASE, RESULT_BYTES = 8, 5, 4, 9, 86400000, 4096
local NO_ID, TOO_LONG = 'the machine, a worker or a token is no id', 'a result is longer than 4096 bytes'

-- What is asked, as routing.deal and routing.complete_all have it. It is used again by the next call.
local asked = {workers = {}, tokens = {}, done = {}, done_tokens = {}, results = {}, finished = {}, jobs = {}, hot = {}, bonus = 0}

local function is_new(token, n)
  for before = 1, n - 1 do
    if asked.tokens[before] == token then return false end
  end
  return true
end

-- Reads one worker's values. Why they cannot be meant so, or nil.
local function read_worker(arguments, n)
  local at = VALUES + EACH * (n - 1)
  local worker, token, result = arguments[at + 1], arguments[at + 2], arguments[at + 5]
  if not (routing.is_worker(worker) and routing.is_word(token)) then return NO_ID end
  if #result > RESULT_BYTES then return TOO_LONG end
  if not is_new(token, n) then return 'two workers have one token' end
  asked.workers[n], asked.tokens[n], asked.results[n], asked.jobs[n] = worker, token, result, nil
  asked.done[n], asked.done_tokens[n] = arguments[at + 3], arguments[at + 4]
end

-- Why the arguments cannot be meant so, or nil.
local function read(arguments)
  asked.number = routing.whole(arguments[VALUES], 1, MOST)
  if not asked.number or #arguments ~= VALUES + EACH * asked.number then return 'there are not 1 to 8 workers of five values each' end
  asked.machine, asked.seat, asked.lease = arguments[1], arguments[2], routing.whole(arguments[3], 100, LONGEST_LEASE)
  if not routing.is_machine(asked.machine) then return NO_ID end
  if not asked.lease then return 'the lease is out of bounds' end
  for n = 1, asked.number do
    local why = read_worker(arguments, n)
    if why then return why end
  end
end

local reply = {'OK'} -- used again by the next call

local function told(root, n, word)
  local job, at = asked.jobs[n], 1 + TOLD * (n - 1)
  if not job then
    reply[at + 1] = word
    for each = 2, TOLD - 1 do reply[at + each] = '' end
  else
    reply[at + 1], reply[at + 2], reply[at + 3] = 'JOB', job.id, job.s
    reply[at + 4], reply[at + 5] = job.b or redis.call('GET', root .. ':body:' .. job.id) or '', job.a
    reply[at + 6], reply[at + 7] = job.deadline, job.asks or routing.requirement(root, job.s)
    reply[at + 8] = job.pr or '0'
  end
  reply[at + TOLD] = asked.finished[n]
end

-- Who asks again gets the job that it had before. Whether some have none.
local function again(root, pool, known, taken, now)
  local missing = false
  for n = 1, asked.number do
    local job = taken[n] and routing.again(root, taken[n], asked.tokens[n], asked.machine, asked.workers[n], asked.lease, now)
    if job then asked.jobs[n] = job
    else
      routing.rise(root, pool, known, asked.workers[n])
      missing = true
    end
  end
  return missing
end

local function all_served()
  for n = 1, asked.number do
    if not asked.jobs[n] then return false end
  end
  return true
end

-- The best jobs for all who have none; also some that came back a moment ago, if there are not enough. Whether who got none shall ask again.
local function fresh(root, pool, known, now)
  local _, late = routing.deal(root, pool, known.seat, asked, now, known)
  if late or all_served() or not routing.came_back(root, now, 1) then return late end
  known.row = nil
  _, late = routing.deal(root, pool, known.seat, asked, now)
  return late
end

local function mm_next(keys, arguments)
  local root, now = keys[1], routing.now()
  local why = read(arguments)
  if why then return routing.bad(why) end
  local taken, turn = routing.tokens_taken(root, asked.tokens, asked.number)
  local pool = routing.pool(root, turn)
  routing.complete_all(root, pool, asked, routing.keep_ms(root, pool), now)
  local more = routing.go_on(root, pool, now)
  local known, not_now = routing.seated(root, pool, keys, asked, now)
  if not known then return {not_now, unpack(asked.finished, 1, asked.number)} end
  local late = again(root, pool, known, taken, now) and fresh(root, pool, known, now)
  local word = (late or more) and 'AGAIN' or 'EMPTY'
  for n = 1, asked.number do told(root, n, word) end
  for n = #reply, 2 + TOLD * asked.number, -1 do reply[n] = nil end
  return reply
end

register('mm_next', mm_next, {'allow-oom'})
