-- Machines: what each holds as tokens, a bitmap of machines per token (col), and per machine the bitmap of the signatures
-- whose tokens it holds (row). What offers decide is not in here; a claim needs both.

local EACH = 150 -- signatures that one call looks at; the rest is a task
local GLANCE = 8 -- of them before it looks at the time

-- The number of a machine, or nil.
function routing.machine(root, machine) return redis.call('HGET', root .. ':machines', machine) or nil end

-- The row of a machine that holds nothing: every signature that needs nothing, unless it is kept from this machine.
local function first_row(root, machine, ord)
  local text = routing.aside(function()
    local scratch = routing.scratch(root, 'row')
    redis.call('BITOP', 'OR', scratch, root .. ':live')
    routing.without(root, scratch, root .. ':needy')
    routing.without(root, scratch, root .. ':need:!a:' .. machine)
    local found = redis.call('GET', scratch)
    redis.call('DEL', scratch, routing.scratch(root, 'both'))
    return found or ''
  end)
  routing.put_bits(root .. ':row:' .. ord, text)
  routing.turned(root)
end

local function begin(root, machine)
  local ord = routing.ordinal(root, 'machine')
  redis.call('HSET', root .. ':machines', machine, ord)
  redis.call('HSET', root .. ':names', ord, machine)
  redis.call('SETBIT', root .. ':present', ord, 1)
  if redis.call('HEXISTS', root .. ':used', '!a:' .. machine) == 1 then
    redis.call('SETBIT', root .. ':col:a:' .. machine, ord, 1)
  end
  first_row(root, machine, ord)
  return ord
end

function routing.machine_or_new(root, machine) return routing.machine(root, machine) or begin(root, machine) end

local function holds(root, ord, token)
  if string.sub(token, 1, 1) == '!' then
    return redis.call('GETBIT', root .. ':col:' .. string.sub(token, 2), ord) == 0
  end
  return redis.call('GETBIT', root .. ':col:' .. token, ord) == 1
end

-- The same for a token that no signature may name yet.
function routing.holds(root, ord, token)
  local plain = string.match(token, '^!(.+)$')
  if plain then return not routing.holds(root, ord, plain) end
  local kind, rest = string.sub(token, 1, 2), string.sub(token, 3)
  if kind == 'a:' then return redis.call('HGET', root .. ':names', ord) == rest end
  if kind == 'd:' then
    local free = redis.call('ZSCORE', root .. ':disk', ord)
    return free and tonumber(free) >= tonumber(rest) * 1e9
  end
  for _, number in ipairs(redis.call('SMEMBERS', root .. ':gives:' .. token)) do
    if redis.call('GETBIT', root .. ':held:' .. number, ord) == 1 then return true end
  end
  return false
end

-- Whether the machine holds every token of the signature.
local function serves(root, ord, sid)
  for _, token in ipairs(routing.tokens(root, sid) or {'nobody'}) do
    if not holds(root, ord, token) then return false end
  end
  return true
end

local function drop(root, ord, needs)
  local row = root .. ':row:' .. ord
  local text = routing.aside(function()
    local scratch, lost = routing.scratch(root, 'row'), routing.scratch(root, 'lost')
    routing.combine('OR', lost, needs)
    redis.call('BITOP', 'OR', scratch, row)
    routing.without(root, scratch, lost)
    local left = redis.call('GET', scratch)
    redis.call('DEL', scratch, lost, routing.scratch(root, 'both'))
    return left or ''
  end)
  routing.put_bits(row, text)
  routing.turned(root)
end

-- Signatures that need one of these tokens and are not in the row, with those that are still to be looked at: the bitmap.
local function hopeful(root, ord, needs)
  return routing.aside(function()
    local scratch = routing.scratch(root, 'row')
    routing.combine('OR', scratch, needs)
    routing.without(root, scratch, root .. ':row:' .. ord)
    redis.call('BITOP', 'OR', scratch, scratch, root .. ':hope:' .. ord)
    local text = redis.call('GET', scratch)
    redis.call('DEL', scratch, routing.scratch(root, 'both'))
    return text or ''
  end)
end

-- How many of them were looked at: some at least, and no more than a call may take.
local function look(root, ord, sids)
  local more, looked = false, 0
  for n, sid in ipairs(sids) do
    if serves(root, ord, text_of(sid)) then
      redis.call('SETBIT', root .. ':row:' .. ord, sid, 1)
      more = true
    end
    looked = n
    if n % GLANCE == 0 and routing.is_too_much() then break end
  end
  if more then routing.turned(root) end
  return looked
end

local function raise(root, ord, needs)
  local sids, more = routing.members(hopeful(root, ord, needs), EACH)
  if not more and look(root, ord, sids) == #sids then return end
  routing.put_bits(root .. ':hope:' .. ord, hopeful(root, ord, needs))
  routing.later(root, 'r' .. ord)
  routing.look_on(root, ord, EACH)
end

-- The task: the next signatures that the machine may be able to serve. Nil when there are no more, and how many were looked at.
function routing.look_on(root, ord, steps)
  local key = root .. ':hope:' .. ord
  local sids, more = routing.members(redis.call('GET', key) or '', steps)
  local looked = look(root, ord, sids)
  for n = 1, looked do redis.call('SETBIT', key, sids[n], 0) end
  if more or looked < #sids then return 1, looked end
  redis.call('DEL', key)
  routing.wake(root, ord)
  return nil, #sids + 1
end

-- The row follows: tokens (set) that the machine holds now, and those that it holds no more.
function routing.follow(root, ord, gained, lost)
  local down, up, names = {}, {}, {}
  for token in pairs(gained) do names[#names + 1] = token end
  for token in pairs(lost) do names[#names + 1] = token end
  if #names == 0 then return end
  routing.turned(root) -- also where no row changes: who submits a job is told where its models are
  local plain = routing.gathered('HMGET', root .. ':used', names)
  local denied = {}
  for n, token in ipairs(names) do denied[n] = '!' .. token end
  local barred = routing.gathered('HMGET', root .. ':used', denied)
  for n, token in ipairs(names) do
    if plain[n] then table.insert(gained[token] and up or down, root .. ':need:' .. token) end
    if barred[n] then table.insert(gained[token] and down or up, root .. ':need:!' .. token) end
  end
  if #down > 0 then drop(root, ord, down) end
  if #up > 0 then
    raise(root, ord, up)
    routing.wake(root, ord)
  end
end

-- Bytes free on the machine's disk: the thresholds that signatures name are tokens, too.
function routing.set_free(root, ord, bytes)
  local before = redis.call('ZSCORE', root .. ':disk', ord)
  if before and tonumber(before) == bytes then return end
  redis.call('ZADD', root .. ':disk', text_of(bytes), ord)
  local low, high = math.min(tonumber(before or '-1'), bytes), math.max(tonumber(before or '-1'), bytes)
  local gained, lost, up = {}, {}, not before or bytes > tonumber(before)
  for _, threshold in ipairs(redis.call('ZRANGEBYSCORE', root .. ':thresholds', '(' .. text_of(low), text_of(high))) do
    redis.call('SETBIT', root .. ':col:d:' .. threshold, ord, up and 1 or 0)
    if up then gained['d:' .. threshold] = true else lost['d:' .. threshold] = true end
  end
  routing.follow(root, ord, gained, lost)
end

-- The machine leaves, with its offers. Its number is used again once what it held is cleared.
function routing.leave(root, machine)
  local ord = routing.machine(root, machine)
  if not ord then return end
  routing.drop_seats(root, machine, ord)
  redis.call('DEL', root .. ':row:' .. ord, root .. ':col:a:' .. machine, root .. ':hope:' .. ord)
  redis.call('HDEL', root .. ':staged', ord)
  redis.call('HDEL', root .. ':comparing', ord)
  local free = redis.call('ZSCORE', root .. ':disk', ord)
  if free then
    for _, threshold in ipairs(redis.call('ZRANGEBYSCORE', root .. ':thresholds', '-inf', free)) do
      redis.call('SETBIT', root .. ':col:d:' .. threshold, ord, 0)
    end
  end
  redis.call('ZREM', root .. ':disk', ord)
  redis.call('HDEL', root .. ':at', ord)
  redis.call('HDEL', root .. ':told', ord)
  redis.call('HDEL', root .. ':machines', machine)
  redis.call('HDEL', root .. ':names', ord)
  redis.call('SETBIT', root .. ':present', ord, 0)
  redis.call('HSET', root .. ':leaving', ord, machine)
  routing.later(root, 'm' .. ord)
end
