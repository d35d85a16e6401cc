-- mm_jobs: the jobs of one state, page by page.
--
-- KEYS  1 routing
-- ARGV  state (next, pending, running, delayed, dead, done), cursor (0 begins), at most so many (1 to 100)
-- Returns OK next(0 = the end) number, and for each: JSON (as mm_job says it, without eligible and models), payload | BAD reason
-- next: the first 100 pending ones, in the order of claiming. pending: all of them, signature by signature. The others come by time.
-- done holds what was cancelled, too. `number` is that of the whole state. A page ends early when it is much: go on with its cursor.

local ZSETS = {running = ':leases', delayed = ':delayed', dead = ':dead', done = ':done'}
local WALKED = 100 -- signatures of one page
local FIRST = 100 -- jobs that are told in the order of claiming
local BYTES = 262144 -- of one page, more or less
local AT_ONCE = 8 -- jobs of a queue that are read together, once its first ones were told

-- As many of the jobs as one call can tell; `after(n)` is the cursor behind the first n, `next_one` that behind all.
local function told(root, next_id, after, next_one, number)
  local reply, bytes, n = {'OK', next_one, text_of(number)}, 0, 0
  local id = next_id()
  while id do
    local job, payload = routing.told_job(root, id)
    if job then
      reply[#reply + 1], reply[#reply + 2] = job, payload
      bytes = bytes + #job + #payload
      routing.weigh(2 + #job / 1024)
    end
    id, n = next_id(), n + 1
    if id and (bytes > BYTES or routing.is_much()) then
      reply[2] = after(n)
      return reply
    end
  end
  return reply
end

local function by_time(root, key, cursor, limit)
  local from, number = tonumber(cursor), redis.call('ZCARD', key)
  local ids = redis.call('ZRANGE', key, from, from + limit - 1)
  local function after(n) return text_of(from + n) end
  return told(root, taker(ids), after, from + limit < number and after(limit) or '0', number)
end

-- Every job is in one of the states; the pending ones are spread over their queues.
local function waiting(root)
  local number = tonumber(redis.call('HGET', root, 'jobs') or '0')
  for _, name in pairs(ZSETS) do number = number - redis.call('ZCARD', root .. name) end
  return math.max(number, 0)
end

local function is_before(one, other)
  if one.score ~= other.score then return one.score < other.score end
  return one.id < other.id
end

-- The next job of a queue, some of which are in `ready`; nil at its end.
local function next_of(root, queue)
  if queue.at > #queue.ready then
    local size = math.max(2, math.min(AT_ONCE, queue.read))
    local page = redis.call('ZRANGE', root .. ':queue:' .. queue.sid, queue.read, queue.read + size - 1, 'WITHSCORES')
    queue.ready, queue.at, queue.read = {}, 1, queue.read + #page / 2
    for n = 1, #page, 2 do queue.ready[#queue.ready + 1] = {id = page[n], score = tonumber(page[n + 1])} end
  end
  return queue.ready[queue.at]
end

-- Where a queue belongs among others that are sorted by their next job, from the second place on.
local function resort(queues)
  local first, at = queues[1], 1
  while queues[at + 1] and is_before(queues[at + 1].job, first.job) do
    queues[at], at = queues[at + 1], at + 1
  end
  queues[at] = first
end

-- The ids of the best `last` of all, one by one: they stand in the queues with as many best heads.
local function in_order(root, last)
  local heads, at, number = redis.call('ZRANGE', root .. ':heads', 0, last - 1, 'WITHSCORES'), 1, 0
  local queues = {} -- that were begun, by their next job
  local function begin_those_up_to_the_first()
    while heads[at] and (not queues[1] or tonumber(heads[at + 1]) <= queues[1].job.score) do
      local queue = {sid = heads[at], ready = {}, at = 1, read = 0}
      queue.job, at = next_of(root, queue), at + 2
      if queue.job then
        table.insert(queues, 1, queue)
        resort(queues)
      end
    end
  end
  return function()
    begin_those_up_to_the_first()
    local queue = queues[1]
    if number == last or not queue then return nil end
    local id = queue.job.id
    number, queue.at = number + 1, queue.at + 1
    queue.job = next_of(root, queue)
    if queue.job then resort(queues) else table.remove(queues, 1) end
    return id
  end
end

local function best(root, cursor, limit)
  local from = tonumber(cursor)
  local next_id = in_order(root, math.min(from + limit, FIRST))
  for _ = 1, math.min(from, FIRST) do next_id() end
  return told(root, next_id, function(n) return text_of(from + n) end, '0', waiting(root))
end

-- Cursor "signature:position", signatures by number. The ids, the cursor behind each, and the one behind all.
local function by_signature(root, cursor, limit)
  local sid, from = string.match(cursor, '^(%d+):(%d+)$')
  sid, from = tonumber(sid), tonumber(from)
  local last, ids, cursors = tonumber(redis.call('HGET', root, 'signature') or '0'), {}, {}
  for _ = 1, WALKED do
    if sid >= last then return ids, cursors, '0' end
    for n, id in ipairs(redis.call('ZRANGE', root .. ':queue:' .. text_of(sid), from, from + limit - #ids - 1)) do
      ids[#ids + 1], cursors[#cursors + 1] = id, text_of(sid) .. ':' .. text_of(from + n)
    end
    if #ids == limit then return ids, cursors, cursors[#cursors] end
    sid, from = sid + 1, 0
  end
  return ids, cursors, text_of(sid) .. ':0'
end

local function pending(root, cursor, limit)
  if cursor == '0' then cursor = '0:0' end
  if not string.match(cursor, '^%d+:%d+$') or #cursor > 30 then return routing.bad('the cursor is none of ours') end
  local ids, cursors, next_one = by_signature(root, cursor, limit)
  return told(root, taker(ids), function(n) return cursors[n] end, next_one, waiting(root))
end

local function mm_jobs(keys, arguments)
  local root, state, cursor, limit = keys[1], arguments[1], arguments[2], routing.whole(arguments[3], 1, 100)
  if not limit then return routing.bad('a page has 1 to 100 jobs') end
  routing.weigh(0)
  if state == 'pending' then return pending(root, cursor, limit) end
  if not routing.whole(cursor, 0, 1e12) then return routing.bad('the cursor is none of ours') end
  if state == 'next' then return best(root, cursor, limit) end
  if ZSETS[state] then return by_time(root, root .. ZSETS[state], cursor, limit) end
  return routing.bad('the state is none of next, pending, running, delayed, dead and done')
end

register('mm_jobs', mm_jobs, {'allow-oom'})
