-- What this server keeps in mind of a pool between calls, so that it need not be read again. All of it follows from what Redis has: no
-- replica, no other release and no server after this one knows it, or needs to. It holds as long as every turn of the pool came
-- from here. Whoever else changed something (another release, a primary before this one, a flush) left a turn that did not; and a pool
-- that nobody used for a while may have been another server's meanwhile.
--   used     when it was used last (us)        settled      nothing is left to index
--   keep, fresh  the pool's keep_ms, and until when it is believed (us)    looked   when leases and delays were looked at last (us)
--   came     how many heads came or came down
-- Until the pool turns for another reason than a head that came or came down:
--   known    machine and seat -> its seat, up to where its inventory is indexed (at) and its row as of then, since when and until
--            when its machine is believed to be alive (us), how many heads had come when there was nothing for it (idle), and the
--            workers that do not wait at a bell (up)
--   said     signature -> what who submits a job of it is told of its models      able  signature -> how many machines can take it
--   fits     profile -> the signatures that it fits      base  from where the heads' slices count (false: there are none)
-- Also beyond that, for what changes them says so here:
--   shown    signature -> what a claim tells of it      seats  where the claims of a seat left off, see `cursor`
--   held     token -> job, of small ones that were given out here and may run    ran  machine -> model -> when that was written last
--   scores, numbers, least, last  the last LOGGED heads that came or came down, in turns, and the least score of each BLOCK of them
--   pages    the heads in their order, as far as they were read, see `heads_from`
--   claims   how many claims there had been when the last one came from here; nil where others came between

local POOLS, KNOWN, SEATS_BYTES, SHOWN_BYTES, LOGGED, BLOCK, BLOCKS = 64, 20000, 16777216, 4194304, 4096, 32, 128
local UNUSED_US, SAID_BYTES = 10000000, 4194304
local ENTRY = 64 -- bytes that an entry counts at least
local HELD, RAN, RAN_US = 20000, 20000, 10000000
local KEEP_MS, FRESH_US = 3600000, 1000000 -- what is over is remembered for an hour, unless the pool says otherwise
local PAGE, FULL, LITTLE, PAGES = 64, 128, 32, 2048 -- heads that are read at once; that a page has at most; that are too few for one; pages
local NONE = 2 ^ 31 -- in place of what is no number of a signature
local TURN = '\n' -- among the tokens, under a name that no token has, so that a claim reads both at once

local pools, number = {}, 0

local function forget_heads(pool) pool.scores, pool.numbers, pool.least, pool.last, pool.seats, pool.seats_bytes = {}, {}, {}, 0, {}, 0 end

local function forget_pages(pool) pool.pages = {{low = -math.huge}} end

routing.forget_pages = forget_pages

local function forget_said(pool) pool.said, pool.able, pool.said_bytes = {}, {}, 0 end

local function forget_turn(pool)
  forget_said(pool)
  pool.settled, pool.known, pool.known_number, pool.fits, pool.base = false, {}, 0, {}, nil
end

local function begin(turn)
  local pool = {turn = turn, used = routing.now(), looked = 0, settled = false, came = 0, shown = {}, shown_bytes = 0, held = {}, held_number = 0,
    ran = {}, ran_number = 0}
  forget_heads(pool)
  forget_pages(pool)
  forget_turn(pool)
  return pool
end

-- What is known of a pool whose turn is this one; of a pool without a turn nothing is kept.
function routing.pool(root, turn)
  local pool = pools[root]
  if pool and pool.turn == turn and routing.now() - pool.used < UNUSED_US then
    pool.used = routing.now()
    return pool
  end
  local new = begin(turn)
  if not turn then return new end
  if not pool then
    if number >= POOLS then pools, number = {}, 0 end
    number = number + 1
  end
  pools[root] = new
  return new
end

-- After a failure nobody knows what was done and what was not.
function routing.forget_pools() pools, number = {}, 0 end

-- The job that was claimed with this token, if any, and the pool's turn.
function routing.token(root, token)
  local found = redis.call('HMGET', root .. ':tokens', token, TURN)
  return found[1] or nil, found[2] or nil
end

-- What is known of a pool, by whoever comes without a token. A call asks for its turn once, for then nobody but the call itself turns it.
function routing.pool_now(root)
  local pool = pools[root]
  if pool and pool.used == routing.now() then return pool end
  local _, turn = routing.token(root, '')
  return routing.pool(root, turn)
end

-- The jobs that were claimed with several tokens, false for none, and the turn.
function routing.tokens_taken(root, tokens, number)
  local behind = tokens[number + 1]
  tokens[number + 1] = TURN
  local found = redis.call('HMGET', root .. ':tokens', unpack(tokens, 1, number + 1))
  tokens[number + 1] = behind
  return found, found[number + 1] or nil
end

-- Something may be claimed that could not be before, or before something else; `by_head`: because a head came or came down, and for no other
-- reason. This is called amidst other writes, and so must not fail. A call has one time, and so turns a pool once.
function routing.turned(root, by_head)
  local turn, pool = text_of(routing.now()), pools[root]
  if pool then
    if by_head then pool.came = pool.came + 1 else forget_turn(pool) end
    if pool.turn == turn then return turn end
  end
  local before = redis.pcall('HGET', root .. ':tokens', TURN)
  if type(before) == 'table' or type(redis.pcall('HSET', root .. ':tokens', TURN, turn)) ~= 'number' then
    redis.call('DEL', root .. ':tokens')
    redis.call('HSET', root .. ':tokens', TURN, turn)
  end
  if pool and pool.turn == before then pool.turn = turn else routing.pool(root, turn) end
  return turn
end

local function room_to_know(pool)
  if pool.known_number >= KNOWN then pool.known, pool.known_number = {}, 0 end
  pool.known_number = pool.known_number + 1
end

-- Who asks does not wait at a bell.
function routing.rise(root, pool, known, worker)
  if known.up[worker] then return end
  routing.unpark(root, known.seat, worker)
  room_to_know(pool)
  known.up[worker] = true
end

-- What is known of a seat, by its machine's name and its own.
function routing.know(pool, name, seat)
  room_to_know(pool)
  pool.known[name] = {seat = seat, up = {}, since = 0, sure = 0}
  return pool.known[name]
end

-- The signatures that a profile fits, as the text of their bitmap; nil for none.
function routing.fit_of(root, pool, profile)
  local fit = pool.fits[profile]
  if fit == nil then
    fit = redis.call('GET', root .. ':fit:' .. profile)
    pool.fits[profile] = fit
  end
  return fit or nil
end

-- The score from which slices are counted, while there are any.
function routing.base(root, pool)
  if pool.base == nil then pool.base = tonumber(redis.call('GET', root .. ':noughts') or nil) or false end
  return pool.base or nil
end

function routing.no_base(root)
  if pools[root] then pools[root].base = nil end
end

-- So many claims came from here.
function routing.claims_counted(pool, number, in_all)
  pool.claims = pool.claims and pool.claims + number == in_all and in_all or nil
end

-- Whether all claims since the last such question came from here. Other releases move heads on by claims; whatever else moves one turns the pool.
function routing.is_alone(root, pool)
  local claims = tonumber(redis.call('HGET', root, 'claims') or '0')
  local alone = claims ~= nil and claims == pool.claims
  pool.claims = claims
  return alone
end

-- A job was given out of which nothing but its record must be changed when it is done.
function routing.hold(pool, token, id)
  if pool.held_number >= HELD then pool.held, pool.held_number = {}, 0 end
  pool.held[token], pool.held_number = id, pool.held_number + 1
end

-- Its run is over.
function routing.let_go(pool, token)
  if not pool or not pool.held[token] then return end
  pool.held[token], pool.held_number = nil, pool.held_number - 1
end

function routing.let_go_of(root, token) routing.let_go(pools[root], token) end

-- Whether a machine's last job that names a model was written down so lately that it need not be again.
function routing.ran_lately(pool, machine, token, now)
  local times = pool.ran[machine]
  local at = times and times[token]
  if at and now >= at and now - at < RAN_US then return true end
  if not at then
    if pool.ran_number >= RAN then pool.ran, pool.ran_number, times = {}, 0, nil end
    pool.ran_number = pool.ran_number + 1
  end
  times = times or {}
  times[token], pool.ran[machine] = now, times
  return false
end

-- How long what is over is remembered, in ms.
function routing.keep_ms(root, pool)
  local now = routing.now()
  if pool and pool.keep and now < pool.fresh then return pool.keep end
  local keep = tonumber(redis.call('HGET', root, 'keep_ms') or KEEP_MS)
  if pool then pool.keep, pool.fresh = keep, now + FRESH_US end
  return keep
end

-- What who submits a job of a signature is told, and how many machines can take it; nil for what nobody asked yet.
function routing.said_of(root, sid)
  local pool = routing.pool_now(root)
  return pool.said[sid], pool.able[sid]
end

function routing.say(root, sid, text, able)
  local pool = routing.pool_now(root)
  if pool.said_bytes >= SAID_BYTES then forget_said(pool) end
  pool.said[sid], pool.able[sid], pool.said_bytes = text, able, pool.said_bytes + #text + ENTRY
end

function routing.retuned(root)
  if pools[root] then pools[root].keep = nil end
end

local function show(pool, sid, lines)
  if pool.shown_bytes >= SHOWN_BYTES then pool.shown, pool.shown_bytes = {}, 0 end
  pool.shown[sid], pool.shown_bytes = lines, pool.shown_bytes + #lines + ENTRY
end

-- What a claim tells of a signature.
function routing.lines_known(root, pool, sid)
  local lines = pool.shown[sid]
  if lines then return lines end
  lines = routing.lines(root, sid)
  show(pool, sid, lines)
  return lines
end

-- A number of a signature means this now.
function routing.shows(root, sid, lines)
  if pools[root] then show(pools[root], sid, lines) end
end

-- The number of the page that a score belongs to.
local function page_of(pages, score)
  local first, last = 1, #pages
  while first < last do
    local middle = math.ceil((first + last) / 2)
    if pages[middle].low <= score then first = middle else last = middle - 1 end
  end
  return first
end

-- Where in a page the heads from `score` on begin.
local function place_in(scores, score)
  local first, last = 1, #scores + 1
  while first < last do
    local middle = math.floor((first + last) / 2)
    if scores[middle] < score then first = middle + 1 else last = middle end
  end
  return first
end

-- Reads a page, and leaves for another what does not go into it. False when more heads have one score than a page may have.
local function read_page(root, pages, n)
  local page, behind = pages[n], pages[n + 1]
  local upto = behind and string.format('(%.17g', behind.low) or '+inf'
  local found = redis.call('ZRANGEBYSCORE', root .. ':heads', string.format('%.17g', page.low), upto, 'WITHSCORES', 'LIMIT', 0, PAGE + 1)
  local number, next_low = #found / 2, tonumber(found[2 * PAGE + 2])
  while next_low and number > 0 and tonumber(found[2 * number]) == next_low do number = number - 1 end
  if number == 0 and next_low then return false end
  if next_low then table.insert(pages, n + 1, {low = next_low}) end
  page.numbers, page.scores = {}, {}
  for at = 1, number do page.numbers[at], page.scores[at] = tonumber(found[2 * at - 1]) or NONE, tonumber(found[2 * at]) end
  return true
end

-- A page with heads from `score` on, where in it they begin, and from where on others have the rest, or nil. A page has low (no head of it
-- is before that), and, once it was read, numbers (of signatures) and scores, which follow every head that moves. Nil where heads cannot be
-- had so.
function routing.heads_from(root, pool, score)
  if #pool.pages > PAGES then forget_pages(pool) end
  local pages = pool.pages
  local n = page_of(pages, score)
  if not pages[n].numbers and score > pages[n].low then
    n = n + 1
    table.insert(pages, n, {low = score}) -- what is before that is no way to it
  end
  local page = pages[n]
  if not page.numbers and not read_page(root, pages, n) then return nil end
  return page, place_in(page.scores, score), pages[n + 1] and pages[n + 1].low
end

-- A page that has become small goes into the one before it.
local function join(pages, n)
  local page, before = pages[n], pages[n - 1]
  if page.numbers[1] and not (before.numbers and #before.numbers + #page.numbers <= PAGE) then return end
  for at = 1, #page.numbers do table.insert(before.numbers, page.numbers[at]) table.insert(before.scores, page.scores[at]) end
  table.remove(pages, n)
end

local function split(pages, n)
  local page, at = pages[n], PAGE + 1
  while page.scores[at] == page.scores[at - 1] do at = at + 1 end
  if not page.scores[at] then return end
  local new = {low = page.scores[at], numbers = {}, scores = {}}
  for from = at, #page.numbers do
    new.numbers[from - at + 1], new.scores[from - at + 1] = page.numbers[from], page.scores[from]
    page.numbers[from], page.scores[from] = nil, nil
  end
  table.insert(pages, n + 1, new)
end

-- False when it is not where it should be.
local function take_out(pages, number, score)
  local n = page_of(pages, score)
  local page = pages[n]
  if not page.numbers then return true end
  local at = place_in(page.scores, score)
  while page.scores[at] == score and page.numbers[at] ~= number do at = at + 1 end
  if page.scores[at] ~= score then return false end
  table.remove(page.numbers, at)
  table.remove(page.scores, at)
  if n > 1 and #page.numbers < LITTLE then join(pages, n) end
  return true
end

local function put_in(pages, number, score)
  local n = page_of(pages, score)
  local page = pages[n]
  if not page.numbers then return end
  local at = place_in(page.scores, score)
  table.insert(page.numbers, at, number)
  table.insert(page.scores, at, score)
  if #page.numbers >= FULL then split(pages, n) end
end

-- The head of a signature has another score than before; nil for none.
function routing.head_moved(root, sid, before, score)
  local pool = pools[root]
  if not pool then return end
  local signature = tonumber(sid)
  if (before or score) and (not before or take_out(pool.pages, signature, tonumber(before))) then
    if score then put_in(pool.pages, signature, tonumber(score)) end
  else forget_pages(pool) end
end

-- A head came, or came down: whoever is beyond it must look at it.
function routing.came_down(root, sid, score)
  local pool = pools[root]
  if not pool or next(pool.seats) == nil then return end
  local at, number_of_score = pool.last + 1, tonumber(score)
  local slot, block = at % LOGGED, math.floor(at / BLOCK) % BLOCKS
  pool.last, pool.scores[slot], pool.numbers[slot] = at, number_of_score, tonumber(sid)
  pool.least[block] = at % BLOCK == 0 and number_of_score or math.min(pool.least[block] or number_of_score, number_of_score)
end

local function turn_back_to(pool, cursor, first, last, maps)
  for at = first, last do
    local score = pool.scores[at % LOGGED]
    if score < cursor.score and routing.fits(pool.numbers[at % LOGGED], maps) then cursor.score = score end
  end
end

-- Goes back to the first of what came or came down since, and fits; to the first of all heads where that is no longer known.
local function turn_back(pool, cursor, maps)
  local at, last = cursor.at + 1, pool.last
  cursor.at = last
  if last - at >= LOGGED then cursor.score = -math.huge end
  while at <= last and cursor.score > -math.huge do
    local block = math.floor(at / BLOCK)
    local upto = math.min(last, (block + 1) * BLOCK - 1)
    if pool.least[block % BLOCKS] < cursor.score then turn_back_to(pool, cursor, at, upto, maps) end
    at = upto + 1
  end
end

-- Where the claims of a seat left off: no head before `score` fits it, with these bitmaps. That stays so, for a head goes back by
-- leaving its queue only, and what comes or comes down is looked at.
function routing.cursor(pool, seat, maps)
  local name = seat.profile .. ' ' .. seat.ord
  local cursor = pool.seats[name]
  if cursor and cursor.one == maps[1] and cursor.other == maps[2] then
    turn_back(pool, cursor, maps)
    return cursor
  end
  if not cursor then
    local bytes = 200 + #maps[1] + #(maps[2] or '')
    if pool.seats_bytes + bytes > SEATS_BYTES then forget_heads(pool) end
    pool.seats_bytes = pool.seats_bytes + bytes
  end
  cursor = {one = maps[1], other = maps[2], score = -math.huge, at = pool.last}
  pool.seats[name] = cursor
  return cursor
end
