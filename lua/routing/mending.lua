-- Garbage under our names: what can be made anew is deleted, and made anew.

local HEADS = {heads = true, filled = true, noughts = true, cuts = true, nought = true}
local SPARE = {bell = true, idle = true, parked = true, scratch = true, asking = true, free = true, tokens = true,
  errands = true, shown = true, staged = true, disk = true, listing = true}

local OTHER = {machines = 'names', names = 'machines', profiles = 'profile', profile = 'profiles'}

-- The root and the kind of a key of ours. A machine's own keys have none.
local function kind_of(key)
  local root, kind = string.match(key, '^(.-routing):([%a_]+)')
  return root, kind
end

-- A machine's inventory is asked for again, at its next beat.
local function untold(root, ord)
  for _, name in ipairs{':at', ':told', ':comparing', ':staged'} do redis.call('HDEL', root .. name, ord) end
end

-- By kind: makes a key anew, now or by a task. `rest` is what stands behind the kind.
local anew = {}

function anew.leases(root) routing.later(root, 'l') end

function anew.row(root, ord)
  routing.put_bits(root .. ':hope:' .. ord, redis.call('GET', root .. ':live') or '')
  routing.later(root, 'r' .. ord)
end

function anew.hope(root, ord)
  redis.call('DEL', root .. ':row:' .. ord)
  anew.row(root, ord)
end

function anew.fit(root, profile) routing.later(root, 'p' .. profile) end

function anew.meets(root, demand) routing.later(root, 'd' .. demand) end

function anew.col(root, token)
  if redis.call('SISMEMBER', root .. ':columns', token) == 1 then routing.fill(root, token, root .. ':col:' .. token) end
end

function anew.at(root) redis.call('DEL', root .. ':told') end

function anew.told(root) redis.call('DEL', root .. ':at') end

function anew.comparing(root) redis.call('DEL', root .. ':at', root .. ':told', root .. ':staged') end

function anew.coming(root, ord) untold(root, ord) end

function anew.telling(root, ord) untold(root, ord) end

-- Numbers and what has them stand in two hashes, each of which follows from the other one.
local function turned_round(root, kind, other)
  local flat = redis.call('HGETALL', root .. ':' .. other)
  for n = 1, #flat, 2 do flat[n], flat[n + 1] = flat[n + 1], flat[n] end
  in_chunks('HSET', root .. ':' .. kind, flat)
end

function anew.machines(root) turned_round(root, 'machines', 'names') end

function anew.names(root) turned_round(root, 'names', 'machines') end

function anew.profiles(root) turned_round(root, 'profiles', 'profile') end

function anew.profile(root) turned_round(root, 'profile', 'profiles') end

local function heads_anew(root)
  redis.call('DEL', root .. ':heads', root .. ':filled')
  routing.end_slices(root)
  routing.later(root, 'h')
end

-- Whether the key is sound, or gone and being made anew.
function routing.mend(key)
  local root, kind = kind_of(key)
  if not root then return false end
  if HEADS[kind] then
    heads_anew(root)
    return true
  end
  local rest = string.sub(key, #root + #kind + 3)
  if not (SPARE[kind] or anew[kind]) or kind == 'col' and string.find(rest, '^[ad]:') then return false end
  if OTHER[kind] and redis.call('TYPE', root .. ':' .. OTHER[kind])['ok'] ~= 'hash' then return false end
  redis.call('DEL', key)
  if anew[kind] then
    anew[kind](root, rest)
    routing.turned(root)
  end
  return true
end

-- The task: the heads of the queues, one signature after the other.
function routing.find_heads(root, cursor, steps)
  local last = tonumber(redis.call('HGET', root, 'signature') or '0')
  local stop = cursor
  while stop < math.min(last, cursor + steps) and not (stop > cursor and routing.is_too_much()) do
    routing.find_head(root, text_of(stop))
    stop = stop + 1
  end
  return stop < last and stop or nil, stop - cursor + 1
end

function routing.broken(key, why)
  if not key or not kind_of(key) then return {err = why} end
  return {err = 'ERR the key ' .. key .. ' holds a ' .. redis.call('TYPE', key)['ok'] .. ', which is not ours. Restore it, or delete all keys that '
    .. 'begin like it up to "routing": waiting jobs are lost, agents tell the rest again'}
end
