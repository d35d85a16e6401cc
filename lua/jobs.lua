-- mm_jobs: the jobs of one state, page by page.
--
-- KEYS  1 routing
-- ARGV  state (next, pending, running, delayed, dead, done), cursor (0 begins), at most so many (1 to 100)
-- Returns OK next(0 = the end) number JSON... (as mm_job says them, without eligible and models) | BAD reason
-- next: one page of the pending ones, in the order of claiming. pending: all of them, signature by signature. The others come by time.
-- done holds what was cancelled, too. `number` is that of the whole state.

local ZSETS = {running = ':leases', delayed = ':delayed', dead = ':dead', done = ':done'}
local WALKED = 200 -- signatures of one page

local function told(root, ids, next_one, number)
  local reply = {'OK', next_one, text_of(number)}
  for _, id in ipairs(ids) do reply[#reply + 1] = routing.told_job(root, id) end
  return reply
end

local function by_time(root, key, cursor, limit)
  local from = tonumber(cursor)
  local number = redis.call('ZCARD', key)
  return told(root, redis.call('ZRANGE', key, from, from + limit - 1), from + limit < number and text_of(from + limit) or '0', number)
end

-- Every job is in one of the states; the pending ones are spread over their queues.
local function waiting(root)
  local number = tonumber(redis.call('HGET', root, 'jobs') or '0')
  for _, name in pairs(ZSETS) do number = number - redis.call('ZCARD', root .. name) end
  return math.max(number, 0)
end

-- The best of all: they stand in the queues with the `limit` best heads, and, if there are so many, none behind the last of these.
local function in_order(root, limit)
  local found, heads = {}, redis.call('ZRANGE', root .. ':heads', 0, limit - 1, 'WITHSCORES')
  local last = heads[2 * limit] or '+inf'
  for at = 1, #heads, 2 do
    local page = redis.call('ZRANGEBYSCORE', root .. ':queue:' .. heads[at], '-inf', last, 'WITHSCORES', 'LIMIT', 0, limit)
    for n = 1, #page, 2 do found[#found + 1] = {id = page[n], score = tonumber(page[n + 1])} end
  end
  table.sort(found, function(one, other)
    if one.score ~= other.score then return one.score < other.score end
    return one.id < other.id
  end)
  local ids = {}
  for n = 1, math.min(limit, #found) do ids[n] = found[n].id end
  return ids
end

-- Cursor "signature:position", signatures by number.
local function by_signature(root, cursor, limit)
  local sid, from = string.match(cursor, '^(%d+):(%d+)$')
  sid, from = tonumber(sid), tonumber(from)
  local last, ids = tonumber(redis.call('HGET', root, 'signature') or '0'), {}
  for _ = 1, WALKED do
    if sid >= last then return ids, '0' end
    local page = redis.call('ZRANGE', root .. ':queue:' .. text_of(sid), from, from + limit - #ids - 1)
    for _, id in ipairs(page) do ids[#ids + 1] = id end
    if #ids == limit then return ids, text_of(sid) .. ':' .. text_of(from + #page) end
    sid, from = sid + 1, 0
  end
  return ids, text_of(sid) .. ':0'
end

local function mm_jobs(keys, arguments)
  local root, state, cursor, limit = keys[1], arguments[1], arguments[2], routing.whole(arguments[3], 1, 100)
  if not limit then return routing.bad('a page has 1 to 100 jobs') end
  if ZSETS[state] then
    if not routing.whole(cursor, 0, 1e12) then return routing.bad('the cursor is none of ours') end
    return by_time(root, root .. ZSETS[state], cursor, limit)
  end
  if state == 'next' then return told(root, in_order(root, limit), '0', waiting(root)) end
  if state ~= 'pending' then return routing.bad('the state is none of next, pending, running, delayed, dead and done') end
  if cursor == '0' then cursor = '0:0' end
  if not string.match(cursor, '^%d+:%d+$') or #cursor > 30 then return routing.bad('the cursor is none of ours') end
  local ids, next_one = by_signature(root, cursor, limit)
  return told(root, ids, next_one, waiting(root))
end

register('mm_jobs', mm_jobs, {'allow-oom'})
