-- Bells: a worker that finds nothing parks, and waits at a list of its own. A job that comes rings one idle worker that can take it.

local BELL_MS = '60000' -- a ring that nobody hears is forgotten after this
local TRIED = 16 -- machines of one profile that are tried for one ring
local PROFILES = 64

function routing.bell(root, machine, worker) return root .. ':bell:' .. machine .. ':' .. worker end

function routing.park(root, seat, worker, until_ms)
  redis.call('ZADD', root .. ':idle:' .. seat.profile .. ':' .. seat.ord, text_of(until_ms), worker)
  redis.call('SETBIT', root .. ':parked:' .. seat.profile, seat.ord, 1)
  redis.call('SADD', root .. ':parked', seat.profile)
end

local function nobody_left(root, profile, ord)
  redis.call('SETBIT', root .. ':parked:' .. profile, ord, 0)
  if redis.call('BITCOUNT', root .. ':parked:' .. profile) == 0 then
    redis.call('SREM', root .. ':parked', profile)
    redis.call('DEL', root .. ':parked:' .. profile)
  end
end

-- A worker that asks is not idle.
function routing.unpark(root, seat, worker)
  local idle = root .. ':idle:' .. seat.profile .. ':' .. seat.ord
  if redis.call('ZREM', idle, worker) == 1 then
    redis.call('DEL', routing.bell(root, redis.call('HGET', root .. ':names', seat.ord) or '', worker))
    if redis.call('EXISTS', idle) == 0 then nobody_left(root, seat.profile, seat.ord) end
  end
end

-- Rings the idle worker of this machine and profile that has come last. False when there is none.
local function ring_one(root, profile, ord, sid, now)
  local idle = root .. ':idle:' .. profile .. ':' .. ord
  local last = redis.call('ZRANGE', idle, -1, -1, 'WITHSCORES')
  local alive = last[1] and tonumber(last[2]) > now / 1000
  if alive then
    redis.call('ZREM', idle, last[1])
    local bell = routing.bell(root, redis.call('HGET', root .. ':names', ord) or '', last[1])
    redis.call('LPUSH', bell, sid)
    redis.call('PEXPIRE', bell, BELL_MS)
  else
    redis.call('DEL', idle)
  end
  if redis.call('EXISTS', idle) == 0 then nobody_left(root, profile, ord) end
  return alive
end

local function idle_machines(root, profile, tokens, declared)
  return routing.aside(function()
    local target = routing.holders(root, declared and {} or tokens)
    redis.call('BITOP', 'AND', target, target, root .. ':parked:' .. profile)
    local text = redis.call('GET', target)
    redis.call('DEL', target, routing.scratch(root, 'both'))
    return text or ''
  end)
end

-- Rings up to `number` workers for one signature; each takes one job.
function routing.ring(root, sid, number)
  if number < 1 or redis.call('EXISTS', root .. ':parked') == 0 then return 0 end
  local rung, now, tokens = 0, routing.now(), routing.tokens(root, sid) or {'nobody'}
  number = math.min(number, TRIED)
  for n, profile in ipairs(redis.call('SMEMBERS', root .. ':parked')) do
    if n > PROFILES or rung >= number then return rung end
    if redis.call('GETBIT', root .. ':fit:' .. profile, sid) == 1 then
      local declared = redis.call('SISMEMBER', root .. ':declared', profile) == 1
      for _, ord in ipairs((routing.members(idle_machines(root, profile, tokens, declared), TRIED))) do
        ord = text_of(ord)
        if declared or redis.call('GETBIT', root .. ':row:' .. ord, sid) == 1 then
          while rung < number and redis.call('GETBIT', root .. ':parked:' .. profile, ord) == 1 do
            if ring_one(root, profile, ord, sid, now) then rung = rung + 1 end
          end
        end
      end
    end
  end
  return rung
end

-- A machine can do more than before: its idle workers are rung for what waits.
function routing.wake(root, ord)
  if redis.call('EXISTS', root .. ':parked') == 0 then return end
  for _, profile in ipairs(redis.call('HVALS', root .. ':seats:' .. ord)) do
    if redis.call('GETBIT', root .. ':parked:' .. profile, ord) == 1 then
      local number = routing.aside(function()
        local scratch = routing.scratch(root, 'candidates')
        redis.call('BITOP', 'AND', scratch, root .. ':filled', root .. ':row:' .. ord, root .. ':fit:' .. profile)
        local found = redis.call('BITCOUNT', scratch)
        redis.call('DEL', scratch)
        return found
      end)
      local now = routing.now()
      for _ = 1, math.min(number, TRIED) do
        if redis.call('GETBIT', root .. ':parked:' .. profile, ord) == 0 then break end
        ring_one(root, profile, ord, '', now)
      end
    end
  end
end
