-- Profiles: offers, each once, however many workers make it; and seats, which say who makes which.
-- A profile has a bitmap of the signatures that it fits. One that declares its models fits without the machine's row.

local MOST = 4096 -- profiles of one pool at a time
local SEATS = 64 -- of one machine

routing.offer_of = routing.remembered(function(text) return cjson.decode(text) end)

-- Customers and workflows that an offer names are part of the signatures from now on; jobs that wait are sorted anew.
local function name_facets(root, offer)
  local facets = {}
  if offer.workflow then facets[1] = 'workflow ' .. offer.workflow end
  for _, list in ipairs{offer.tenant and offer.tenant.allowed or {}, offer.tenant and offer.tenant.denied or {}} do
    for _, customer in ipairs(list) do facets[#facets + 1] = 'customer ' .. customer end
  end
  local known, flat = routing.gathered('HMGET', root .. ':named', facets), {}
  for n, facet in ipairs(facets) do
    if not known[n] then flat[#flat + 1], flat[#flat + 2] = facet, '1' end
  end
  in_chunks('HSET', root .. ':named', flat)
  if #flat == 0 or redis.call('EXISTS', root .. ':heads') == 0 then return end
  redis.call('HDEL', root, 'sorting')
  routing.later(root, 'w', true)
end

local function begin(root, text, offer)
  if redis.call('HLEN', root .. ':profile') >= MOST then
    return nil, 'the pool has ' .. MOST .. ' different offers already; leave out what differs from worker to worker'
  end
  local profile = routing.ordinal(root, 'profile')
  redis.call('HSET', root .. ':profiles', text, profile)
  redis.call('HSET', root .. ':profile', profile, text)
  if offer.models then redis.call('SADD', root .. ':declared', profile) end
  name_facets(root, offer)
  routing.later(root, 'p' .. profile)
  return profile
end

local function forget(root, profile)
  local text = redis.call('HGET', root .. ':profile', profile)
  redis.call('HDEL', root .. ':profiles', text)
  redis.call('HDEL', root .. ':profile', profile)
  if redis.call('SREM', root .. ':declared', profile) == 1 then routing.declares_no_more(root, profile) end
  redis.call('SREM', root .. ':parked', profile)
  redis.call('DEL', root .. ':fit:' .. profile, root .. ':users:' .. profile, root .. ':parked:' .. profile)
  routing.later(root, 'q' .. profile)
end

local function leave(root, ord, profile)
  for _, other in ipairs(redis.call('HVALS', root .. ':seats:' .. ord)) do
    if other == profile then return end
  end
  redis.call('SETBIT', root .. ':users:' .. profile, ord, 0)
  routing.crowd_changed(root)
  redis.call('SETBIT', root .. ':parked:' .. profile, ord, 0)
  redis.call('DEL', root .. ':idle:' .. profile .. ':' .. ord)
  if redis.call('BITCOUNT', root .. ':users:' .. profile) == 0 then forget(root, profile) end
end

function routing.seat_name(machine, seat) return machine .. '\n' .. seat end

local seat_of = routing.remembered(function(text)
  local ord, profile, ends, declared = string.match(text, '^(%d+) (%d+) (%d+) (%d)$')
  return {ord = ord, profile = profile, ends = tonumber(ends), declared = declared == '1'}
end)

-- Whose seat it is: its machine's number, its profile, when it ends (ms; 0: with the machine's lease), and whether it declares
-- its models. Nil for none.
function routing.seat(root, machine, seat)
  local found = redis.call('HGET', root .. ':seat', routing.seat_name(machine, seat))
  if not found and seat ~= '' then found = redis.call('HGET', root .. ':seat', routing.seat_name(machine, '')) end
  return found and (seat_of(found)) or nil
end

-- A seat offers this from now on. Its profile, or nil and why.
function routing.take_seat(root, machine, seat, offer, ends)
  local text = routing.canonical(offer)
  local profile = redis.call('HGET', root .. ':profiles', text)
  if not profile then
    local why
    profile, why = begin(root, text, offer)
    if why then return nil, why end
  end
  local ord = routing.machine_or_new(root, machine)
  local seats = root .. ':seats:' .. ord
  local before = redis.call('HGET', seats, seat)
  if not before and redis.call('HLEN', seats) >= SEATS then return nil, 'the machine has ' .. SEATS .. ' seats already' end
  redis.call('HSET', seats, seat, profile)
  if before ~= profile then routing.turned(root) end
  redis.call('HSET', root .. ':seat', routing.seat_name(machine, seat),
    ord .. ' ' .. profile .. ' ' .. text_of(ends) .. (offer.models and ' 1' or ' 0'))
  if redis.call('SETBIT', root .. ':users:' .. profile, ord, 1) == 0 then routing.crowd_changed(root) end
  if ends > 0 then redis.call('ZADD', root .. ':ends', text_of(ends), routing.seat_name(machine, seat))
  else redis.call('ZREM', root .. ':ends', routing.seat_name(machine, seat)) end
  if before and before ~= profile then leave(root, ord, before) end
  return profile
end

function routing.leave_seat(root, machine, seat)
  local ord = routing.machine(root, machine)
  local profile = ord and redis.call('HGET', root .. ':seats:' .. ord, seat)
  if not profile then return end
  redis.call('HDEL', root .. ':seats:' .. ord, seat)
  routing.turned(root)
  redis.call('HDEL', root .. ':seat', routing.seat_name(machine, seat))
  redis.call('ZREM', root .. ':ends', routing.seat_name(machine, seat))
  leave(root, ord, profile)
end

-- The same, and a machine of which nothing is left goes, too.
function routing.vacate(root, machine, seat)
  routing.leave_seat(root, machine, seat)
  local ord = routing.machine(root, machine)
  local known = ord and (redis.call('HEXISTS', root .. ':at', ord) == 1 or redis.call('HEXISTS', root .. ':told', ord) == 1)
  if ord and not known and redis.call('EXISTS', root .. ':seats:' .. ord) == 0 then
    routing.leave(root, machine)
  end
end

function routing.drop_seats(root, machine, ord)
  for _, seat in ipairs(redis.call('HKEYS', root .. ':seats:' .. ord)) do routing.leave_seat(root, machine, seat) end
end

-- Seats whose time is over go, a few at a time.
function routing.end_seats(root, now, limit)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', root .. ':ends', '-inf', text_of(now / 1000), 'LIMIT', 0, limit)) do
    local machine, seat = string.match(name, '^([^\n]*)\n(.*)$')
    routing.vacate(root, machine, seat)
  end
end
