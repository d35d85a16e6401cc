-- The jobs that wait: one queue a signature, a zset of their heads, and, once there are many, the heads' scores cut into bits,
-- so that the best of any set of signatures is found by ANDs instead of a walk.

local WALK = 256 -- heads that a claim looks at before it asks the bitmaps
local OF_PAGE = 4 -- heads, as long as which it takes to come to another page of them
local MANY = 128 -- non-empty signatures from which on slices are kept
local SEVERAL = 24 -- non-empty signatures from which on their zset is one that is searched
local FEW = 16 -- candidates whose scores are compared one by one, and which are looked for one by one
local QUANTUM = 262144 -- us: what the first slice would tell apart, if there were one
local NEVER = 2 ^ 31 - 1 -- of a signature that was not cut before: no slice has it
local LOW, LOWEST = 2, 2 ^ 2 -- the lowest slice and what it is worth: heads that are a second apart or less are compared exactly
local TOP = 30 -- the highest slice; whatever is older or younger than they reach is compared exactly, too
local NONE = {}

-- The score from which slices are counted, while there are any.
local function base_of(root) return tonumber(redis.call('GET', root .. ':noughts') or nil) end

local function quantum_of(score, base)
  return math.max(0, math.min(math.floor((tonumber(score) - base) / QUANTUM), 2 ^ (TOP + 1) - 1))
end

local noughts_of = routing.often(function(root)
  local names = {}
  for bit = LOW, TOP do names[bit] = root .. ':nought:' .. bit end
  return names
end)

-- Cuts the head of a signature into bits. A slice has those whose bit is 0, for these are what is looked for. Only those change that
-- differ from what was cut before: its head until now, or the last one of an empty signature, whose bits nobody looks at.
local function slice(root, sid, score, before, base)
  local new = math.floor(quantum_of(score, base) / LOWEST)
  local old = math.floor((before and quantum_of(before, base) or tonumber(redis.call('HGET', root .. ':cuts', sid) or NEVER)) / LOWEST)
  local names = noughts_of(root)
  for bit = LOW, TOP do
    if old == new then return end
    local was, is = old % 2, new % 2
    if was ~= is then redis.call('SETBIT', names[bit], sid, was) end
    old, new = (old - was) / 2, (new - is) / 2
  end
end

local function begin_slices(root)
  local heads, slices = redis.call('ZRANGE', root .. ':heads', 0, -1, 'WITHSCORES'), {}
  for bit = LOW, TOP do slices[bit] = {} end
  for n = 1, #heads, 2 do
    local left = math.floor(quantum_of(heads[n + 1], tonumber(heads[2])) / LOWEST)
    for bit = LOW, TOP do
      if left % 2 == 0 then table.insert(slices[bit], heads[n]) end
      left = math.floor(left / 2)
    end
  end
  redis.call('DEL', root .. ':cuts')
  redis.call('SET', root .. ':noughts', heads[2])
  for bit = LOW, TOP do routing.put_bits(root .. ':nought:' .. bit, routing.bitmap(slices[bit])) end
  routing.no_base(root)
end

local function end_slices(root)
  local keys = {root .. ':noughts', root .. ':cuts'}
  for bit = 0, TOP do keys[#keys + 1] = root .. ':nought:' .. bit end
  redis.call('DEL', unpack(keys))
  routing.no_base(root)
end

routing.end_slices = end_slices

-- Servers go through a small zset from its first member on, unless one is longer than their limit of 64 bytes, or once was.
local function spread(key)
  local long = string.rep('-', 65)
  redis.call('ZADD', key, '+inf', long)
  redis.call('ZREM', key, long)
end

-- `before` is its score until now, or nil.
local function head_is(root, sid, score, before, base)
  redis.call('ZADD', root .. ':heads', score, sid)
  routing.head_moved(root, sid, before, score)
  if not before then redis.call('SETBIT', root .. ':filled', sid, 1) end
  if base then
    slice(root, sid, score, before, base)
  elseif not before then
    local number = redis.call('ZCARD', root .. ':heads')
    if number > MANY then begin_slices(root) elseif number == SEVERAL then spread(root .. ':heads') end
  end
end

local function came_down(root, sid, score, before)
  routing.turned(root, true)
  routing.came_down(root, sid, score)
  head_is(root, sid, score, before, base_of(root))
end

-- `before` may be nil, of a queue that somebody else took away.
local function emptied(root, sid, before, base)
  before = before or base and redis.call('ZSCORE', root .. ':heads', sid) or nil
  redis.call('ZREM', root .. ':heads', sid)
  redis.call('SETBIT', root .. ':filled', sid, 0)
  routing.head_moved(root, sid, before, nil)
  if not base then return end
  if before then redis.call('HSET', root .. ':cuts', sid, text_of(quantum_of(before, base))) end
  if redis.call('EXISTS', root .. ':heads') == 0 then end_slices(root) end
end

-- A job joins the queue of its signature. `score` is text.
function routing.enqueue(root, sid, id, score)
  redis.call('ZADD', root .. ':queue:' .. sid, score, id)
  local head = redis.call('ZSCORE', root .. ':heads', sid)
  if not head or tonumber(score) < tonumber(head) then came_down(root, sid, score, head or nil) end
end

-- Whether it is another now.
local function renew_head(root, sid, before)
  local first = redis.call('ZRANGE', root .. ':queue:' .. sid, 0, 0, 'WITHSCORES')
  local base = base_of(root)
  if first[2] == before then return false end
  if first[1] then head_is(root, sid, first[2], before, base) else emptied(root, sid, before, base) end
  return true
end

-- The head of a queue whose entry among the heads was lost.
function routing.find_head(root, sid)
  if redis.call('ZSCORE', root .. ':heads', sid) then return end
  local first = redis.call('ZRANGE', root .. ':queue:' .. sid, 0, 0, 'WITHSCORES')
  if first[1] then
    came_down(root, sid, first[2])
    routing.ring(root, sid, 1)
  end
end

-- A job leaves the queue, wherever it stands in it. False when it was not in there.
function routing.dequeue(root, sid, id)
  if redis.call('ZREM', root .. ':queue:' .. sid, id) == 0 then return false end
  local before = redis.call('ZSCORE', root .. ':heads', sid)
  if before and renew_head(root, sid, before) then routing.turned(root, true) end
  return true
end

local flat = {}

-- Jobs have left from the front of their queues, see routing.deal: the heads of these lines follow, and the queues last, so that no
-- failure loses one.
function routing.leave_queues(root, base, lines, number)
  local many = 0
  for n = 1, number do
    local line = lines[n]
    if line.score and line.score ~= line.before then
      flat[many + 1], flat[many + 2], many = line.score, line.sid, many + 2
    end
  end
  if many > 0 then redis.call('ZADD', root .. ':heads', unpack(flat, 1, many)) end
  for n = 1, number do
    local line = lines[n]
    if not line.score then emptied(root, line.sid, line.before, base)
    elseif line.score ~= line.before then
      routing.head_moved(root, line.sid, line.before, line.score)
      if base then slice(root, line.sid, line.score, line.before, base) end
    end
  end
  for n = 1, number do
    local line = lines[n]
    if line.left > 0 then redis.call('ZREM', root .. ':queue:' .. line.sid, unpack(line.gone, 1, line.left)) end
  end
end

-- Whether a signature fits, by its number.
local function fits(signature, maps) return routing.has(maps[1], signature) and not (maps[2] and not routing.has(maps[2], signature)) end

routing.fits = fits

-- Where in a list the first one that fits stands, from `at` on. What a machine holds tells more signatures apart than what it offers, and so
-- comes first.
function routing.first_that_fits(numbers, at, maps)
  if maps[2] then return routing.first_in_both(maps[2], maps[1], numbers, at) end
  return routing.first_in_both(maps[1], nil, numbers, at)
end

-- Leaves out, from the highest bit that tells two heads apart, the candidates that have it where others have not. The key of the rest,
-- `candidates` or `half`, and how many these are.
local function least_quantum(root, candidates, half, number, base)
  local first = redis.call('ZRANGE', root .. ':heads', 0, 0, 'WITHSCORES')
  local last = redis.call('ZRANGE', root .. ':heads', -1, -1, 'WITHSCORES')
  local low, high, top = quantum_of(first[2], base), quantum_of(last[2], base), -1
  while low ~= high do low, high, top = math.floor(low / 2), math.floor(high / 2), top + 1 end
  for bit = top, LOW, -1 do
    redis.call('BITOP', 'AND', half, candidates, root .. ':nought:' .. bit)
    local left = redis.call('BITCOUNT', half)
    if left > 0 then
      candidates, half, number = half, candidates, left
      if number <= FEW then return candidates, number end
    end
  end
  return candidates, number
end

-- The numbers whose bits are set. Of a long bitmap with few of them each is asked for.
local function members_of(key, number)
  if number > FEW then return routing.members(redis.call('GET', key), 1e6) end
  local found, at = {}, 0
  for n = 1, number do
    found[n] = redis.call('BITPOS', key, 1, at, -1, 'BIT')
    at = found[n] + 1
  end
  return found
end

local function best_of(root, sids)
  local scores, best, least = routing.gathered('ZMSCORE', root .. ':heads', sids)
  for n, sid in ipairs(sids) do
    local score = scores[n] and tonumber(scores[n])
    if score and (not least or score < least) then best, least = sid, score end
  end
  return best and text_of(best)
end

-- Among all signatures: the AND of the bitmaps, then the least head.
local function by_bitmaps(root, keys, passed, base)
  return routing.aside(function()
    local candidates, half = routing.scratch(root, 'candidates'), routing.scratch(root, 'half')
    redis.call('BITOP', 'AND', candidates, root .. ':filled', unpack(keys))
    for sid in pairs(passed) do redis.call('SETBIT', candidates, sid, 0) end
    local number, found = redis.call('BITCOUNT', candidates), candidates
    if base and number > FEW then found, number = least_quantum(root, candidates, half, number, base) end
    local sids = number > 0 and members_of(found, number) or {}
    redis.call('DEL', candidates, half)
    return best_of(root, sids)
  end)
end

routing.by_bitmaps = by_bitmaps

local walk = {}

-- A walk over the heads from `score` on. It has: numbers and scores (a page of heads), at (where in it it stands), upto
-- (it has all heads before that), looked (heads so far), ended (behind these there are none). There is one at a time.
function routing.begin_walk(pool, score)
  walk.pool, walk.upto, walk.numbers, walk.scores, walk.at = pool, score, NONE, NONE, 1
  walk.looked, walk.ended = 0, score == math.huge
  return walk
end

-- The next page of a walk. False when there is none, or it goes no further.
function routing.walk_on(root)
  if walk.ended or walk.looked >= WALK then return false end
  local page, at, upto = routing.heads_from(root, walk.pool, walk.upto)
  if not page then return false end
  walk.numbers, walk.scores, walk.at = page.numbers, page.scores, at
  walk.looked = walk.looked + OF_PAGE + #page.numbers - at + 1
  walk.upto, walk.ended = upto or math.huge, not upto
  return true
end

-- A hot signature goes first when its head is at most `bonus` us behind the best one.
function routing.warmest(root, best, hot, bonus, maps, passed)
  local wanted = {best}
  for _, sid in ipairs(hot) do
    if not passed[sid] and fits(tonumber(sid), maps) then wanted[#wanted + 1] = sid end
  end
  if #wanted == 1 then return best end
  local scores = redis.call('ZMSCORE', root .. ':heads', unpack(wanted))
  local limit, chosen, least = tonumber(scores[1]) + bonus, best, nil
  for n = 2, #wanted do
    local score = scores[n] and tonumber(scores[n])
    if score and score <= limit and (not least or score < least) then chosen, least = wanted[n], score end
  end
  return chosen
end
