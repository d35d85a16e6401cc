-- Deals jobs out: the best ones that a seat can do, one to each of several claims of one machine. Heads and queues are read once for all
-- of them, and what stands in one place is written once: the records first, the queues last, so that no failure loses a job.
-- Tables are used again from call to call, for half of a claim's time is the collector's if each makes its own.
--
-- What is asked (`asked`): machine, lease, number, and by the claim's number workers, tokens and jobs (what it gets); hot, bonus, old,
--   before (where the first job stands that is not given any more; nil where all may be).
-- The deal: asked, missing (claims without a job), seat, maps (the bitmaps that decide), passed (signatures that are left out), walk (over
--   the heads), last (no head before this score fits), tries, given (claims whose jobs are not written yet), lines, reread (heads were not
--   where this server had them in mind, and are read anew).
-- A line, of a signature that gives jobs: sid, gone and left (ids that leave, and how many), read and at (its queue as far as it was read,
--   and where in it the next job stands), ended (nothing is behind that), before and score (its head until now, and the next one; nil for
--   none), number (the score as a number, once it is wanted), said (what the walk says that its head has, nil if it does not).

local TRIES = 10 -- heads without a job that waits, or that a seat is kept from
local HEAVY = 5 -- steps of an AND over all signatures
local NOTHING = {}

local deal = {maps = {}, given = {}, lines = {}}
local records, alone = {}, {number = 1, workers = {}, tokens = {}, jobs = {}}

-- What one claim asks by itself.
function routing.alone(claim)
  alone.machine, alone.lease, alone.hot, alone.bonus, alone.old = claim.machine, claim.lease, claim.hot, claim.bonus, claim.old
  alone.before = claim.before
  alone.workers[1], alone.tokens[1], alone.jobs[1] = claim.worker, claim.token, nil
  return alone
end

-- What no bitmap knows: a seat without a row that is excluded by its machine, a worker of the running fleet that failed the job last.
local function kept_away(root, sid)
  local seat, asked = deal.seat, deal.asked
  if not seat.declared and not asked.old then return false end
  local parts = routing.parts(root, sid) or NOTHING
  if asked.old and parts.not_worker == asked.workers[1] then return true end
  if not seat.declared then return false end
  for _, each in ipairs(parts.elsewhere or NOTHING) do
    if each == asked.machine then return true end
  end
  return false
end

-- The bitmaps that decide for a seat. False when it has none. `known`: what is known of it, if its inventory was just seen to be indexed
-- as far as when its row was read.
local function has_bitmaps(root, pool, seat, known)
  local maps = deal.maps
  maps[1], maps[2] = routing.fit_of(root, pool, seat.profile), nil
  if not maps[1] then return false end
  if seat.declared then return true end
  maps[2] = known and known.row or redis.call('GET', root .. ':row:' .. seat.ord) or nil
  if known then known.row = maps[2] end
  return maps[2] ~= nil
end

local function keys_of_bitmaps(root)
  local seat = deal.seat
  return {root .. ':fit:' .. seat.profile, not seat.declared and root .. ':row:' .. seat.ord or nil}
end

-- The next head of the walk that fits, and its score. Nil at the end, or where the walk goes no further.
local function next_head(root)
  local walk, passed = deal.walk, deal.passed
  while true do
    local at = routing.first_that_fits(walk.numbers, walk.at, deal.maps)
    while at do
      local sid = text_of(walk.numbers[at])
      walk.at = at
      if walk.scores[at] >= deal.before then
        walk.ended = true
        return nil
      end
      if not passed[sid] then return sid, walk.scores[at] end
      at = routing.first_that_fits(walk.numbers, at + 1, deal.maps)
    end
    walk.at = #walk.numbers + 1
    if not routing.walk_on(root) then return nil end
  end
end

local function number_of(line)
  line.number = line.number or tonumber(line.score)
  return line.number
end

-- Whether a line goes before a head of this score.
local function goes_before(line, sid, score)
  return number_of(line) < score or line.number == score and line.sid < sid
end

-- The line whose next job is the best of those that gave one already.
local function best_line()
  local best
  for n = 1, deal.begun do
    local line = deal.lines[n]
    if line.score and (not best or goes_before(line, best.sid, number_of(best))) then best = line end
  end
  return best
end

local function begin_line(sid, said)
  deal.begun = deal.begun + 1
  local line = deal.lines[deal.begun]
  if not line then
    line = {gone = {}}
    deal.lines[deal.begun] = line
  end
  line.sid, line.left, line.read, line.at, line.ended, line.score, line.number, line.said = sid, 0, NOTHING, 1, false, nil, nil, said
  return line
end

-- The line that gives the next job; nil when there is none, or when the walk cannot tell which one.
local function next_line(root)
  local line, walk = best_line(), deal.walk
  local sid, score = next_head(root)
  if not sid then
    local sure = line and (walk.ended or number_of(line) < walk.upto)
    return sure and line or nil
  end
  if line and goes_before(line, sid, score) then return line end
  walk.at = walk.at + 1
  return begin_line(sid, score)
end

local function read_on(root, line, number)
  line.read = redis.call('ZRANGE', root .. ':queue:' .. line.sid, line.left, line.left + number - 1, 'WITHSCORES')
  line.at, line.ended = 1, #line.read < 2 * number
end

-- Two are read first, for what is behind the head is the new one.
local function read_front(root, line)
  read_on(root, line, 2)
  line.before = line.read[2]
end

-- The first of a line leaves: its id and its score, nil for none. Where no more are read, as many follow as could leave yet.
local function leave(root, line)
  local id, score = line.read[line.at], line.read[line.at + 1]
  if id then
    line.left, line.at = line.left + 1, line.at + 2
    line.gone[line.left] = id
  end
  if not line.read[line.at] and not line.ended then read_on(root, line, deal.missing + 1) end
  line.score, line.number = line.read[line.at + 1], nil
  return id, score
end

-- The next claim without a job gets this one, if it waits.
local function hand(root, id, score)
  local n, asked = 1, deal.asked
  while asked.jobs[n] do n = n + 1 end
  records[n] = records[n] or {}
  if not routing.waiting(root, id, score, records[n]) then return false end
  asked.jobs[n], deal.missing = records[n], deal.missing - 1
  deal.given[#deal.given + 1] = n
  return true
end

local function written(root, pool, now)
  local given, base = deal.given, deal.begun > 0 and routing.base(root, pool) or nil -- which fails, if it does, before anything is written
  if #given > 0 then routing.start(root, pool, deal.asked, given, now) end
  for n = #given, 1, -1 do given[n] = nil end
  if deal.begun > 0 then routing.leave_queues(root, base, deal.lines, deal.begun) end
  deal.begun = 0
end

-- What was dealt is written, and the walk begins anew where the last job stood.
local function anew(root, pool, now)
  written(root, pool, now)
  deal.walk = routing.begin_walk(pool, deal.last)
end

-- The walk is wrong about heads: functions of another release moved them on, which say nothing of that here.
local function reread(root, pool, now)
  deal.begun, deal.reread = deal.begun - 1, true
  routing.forget_pages(pool)
  anew(root, pool, now)
end

-- A hot signature goes first in place of the best one, where it may.
local function warm(root, line)
  local asked, best = deal.asked, line.sid
  if asked.bonus == 0 or #asked.hot == 0 then return end
  line.sid = routing.warmest(root, best, asked.hot, asked.bonus * 1000, deal.maps, deal.passed)
  if line.sid ~= best then read_front(root, line) end
end

-- A line gives its next job, or one of a hot signature does in its place. Nothing, where the seat is kept from it, or its head was moved.
local function give(root, pool, line, now)
  local asked, best = deal.asked, line.sid
  if line.left == 0 then
    read_front(root, line)
    if line.said and line.said ~= tonumber(line.before or nil) and not deal.reread then return reread(root, pool, now) end
    warm(root, line)
  end
  if line.left == 0 and kept_away(root, line.sid) then
    if deal.passed == NOTHING then deal.passed = {} end
    deal.passed[line.sid], deal.tries, deal.begun = true, deal.tries + 1, deal.begun - 1
    return
  end
  local id, score = leave(root, line)
  if id and line.sid == best then deal.last = tonumber(score) end
  if not (id and hand(root, id, score)) then
    deal.tries = deal.tries + 1
    routing.turned(root, true) -- its head moves on, and no claim says so
    return
  end
  for _, sid in ipairs(asked.hot) do
    if sid == line.sid then routing.count(root, 'claims_hot', 1) end
  end
end

-- The best of all signatures, which the walk does not reach. What it would have come across on the way there nobody looks at any more, so
-- heads that others may have moved on meanwhile are read anew.
local function beyond(root, pool)
  if not deal.reread and not routing.is_alone(root, pool) then
    routing.forget_pages(pool)
    deal.reread = true
  end
  local sid = routing.by_bitmaps(root, keys_of_bitmaps(root), deal.passed, routing.base(root, pool))
  routing.weigh(HEAVY)
  if sid and deal.before < math.huge and tonumber(redis.call('ZSCORE', root .. ':heads', sid)) >= deal.before then return nil end
  return sid and begin_line(sid)
end

-- Whether nothing is left, and whether it took so long that who got nothing shall ask again.
local function deal_out(root, pool, now)
  local asked = deal.asked
  while deal.missing > 0 and deal.tries < TRIES do
    local line = next_line(root)
    if line then give(root, pool, line, now)
    elseif deal.walk.ended then return true, false
    else
      written(root, pool, now)
      if deal.missing < asked.number and routing.is_much() then return false, true end
      line = beyond(root, pool)
      if not line then return true, false end
      give(root, pool, line, now)
      anew(root, pool, now)
    end
    if deal.tries > 0 and #asked.hot > 0 then anew(root, pool, now) end
  end
  return false, false
end

local function begin(asked, seat)
  deal.asked, deal.seat, deal.passed, deal.begun, deal.tries, deal.last, deal.reread = asked, seat, NOTHING, 0, 0, -math.huge, false
  deal.missing, deal.before = 0, asked.before or math.huge
  for n = 1, asked.number do
    if not asked.jobs[n] then deal.missing = deal.missing + 1 end
  end
  for n = #deal.given, 1, -1 do deal.given[n] = nil end
end

-- Takes the best jobs out of their queues and starts them, one for each claim that has none. Whether there is nothing more for this seat
-- until the pool turns, and whether who got none shall ask again. `known`: see has_bitmaps.
function routing.deal(root, pool, seat, asked, now, known)
  begin(asked, seat)
  if not has_bitmaps(root, pool, seat, known) then return true, false end
  local cursor = not seat.declared and not asked.old and routing.cursor(pool, seat, deal.maps) or nil
  if cursor then deal.last = cursor.score end
  deal.walk = routing.begin_walk(pool, deal.last)
  local none, late = deal_out(root, pool, now)
  written(root, pool, now)
  if cursor then cursor.score = none and math.huge or deal.last end
  return none and deal.passed == NOTHING, late
end
