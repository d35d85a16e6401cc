-- Work that may be long goes on in later calls: a list of tasks and where the first one stands. Until it is done a bit is
-- missing somewhere, so that a job waits, and none goes where it must not.
--   d<demand> asks every profile    p<profile> asks every demand, or every signature    s<signature> goes into the machines' rows
--   f<signature> goes to the profiles that meet its demand    b<signature> asks every profile that declares its models
--   m<machine> goes on with what it holds, or held    r<machine> looks at signatures that it may serve now
--   t<machine> compares what it told in parts with what it holds
--   h finds the heads of the queues anew, l the leases
--   w sorts waiting jobs by the customers and workflows that are named now    x<signature>, q<profile> clear what is gone

local MACHINES_PER_STEP = 10
local GLANCE = 64 -- machines, before it looks at the time
local ROWS = 500 -- that a signature enters before it looks at the time
local FITS = 200 -- offers that it goes to before
local FEW = 16 -- offers that declare their models, for a signature to ask at once
local BYTES = 512 -- of an offer and a demand that are judged in a step, besides those of a usual one

-- Has a task done in a later call. `first`: before the others.
function routing.later(root, task, first)
  redis.call(first and 'LPUSH' or 'RPUSH', root .. ':todo', task)
  if first then redis.call('DEL', root .. ':todo:at') end
  routing.turned(root)
end

-- From `first` to `last` - 1, some at least and no longer than a call may take: where it stopped.
local function some_of(first, last, work)
  local number = first
  while number < last do
    work(number)
    number = number + 1
    if routing.is_too_much() then return number end
  end
  return number
end

-- The same for what is little work: it looks at the time now and then.
local function many_of(first, last, work)
  local number = first
  while number < last do
    for n = number, math.min(number + GLANCE, last) - 1 do work(text_of(n)) end
    number = math.min(number + GLANCE, last)
    if routing.is_too_much() then return number end
  end
  return number
end

local doing = {}

-- Each does at most `steps` from `cursor` on, and says where to go on (nil: done) and how many steps it took.

function doing.d(root, demand, cursor, steps)
  local text = redis.call('HGET', root .. ':demand', demand)
  if not text then return nil, 1 end
  local parts, last = cjson.decode(text), tonumber(redis.call('HGET', root, 'profile') or '0')
  local stop = some_of(cursor, math.min(last, cursor + steps), function(number)
    local profile = text_of(number)
    local offer = redis.call('HGET', root .. ':profile', profile)
    if offer and redis.call('SISMEMBER', root .. ':declared', profile) == 0 then
      routing.judge(root, profile, routing.offer_of(offer), demand, parts, #offer + #text)
    end
  end)
  return stop < last and stop or nil, stop - cursor + 1
end

-- Whether a profile meets a demand; then it fits every signature that asks for it.
function routing.judge(root, profile, offer, demand, parts, bytes)
  routing.weigh(bytes / BYTES)
  if not rules.fits(parts, offer) then return end
  redis.call('SETBIT', root .. ':meets:' .. demand, profile, 1)
  routing.crowd_changed(root, demand)
  redis.call('BITOP', 'OR', root .. ':fit:' .. profile, root .. ':fit:' .. profile, root .. ':asks:' .. demand)
  routing.turned(root)
end

local function declared(root, profile, offer, bytes, cursor, steps)
  local last = tonumber(redis.call('HGET', root, 'signature') or '0')
  local stop = some_of(cursor, math.min(last, cursor + steps), function(number)
    local parts = routing.parts(root, text_of(number))
    routing.weigh(bytes / BYTES)
    if parts and rules.fits(parts, offer) then routing.fits_by_declaration(root, profile, text_of(number)) end
  end)
  routing.turned(root)
  return stop < last and stop or nil, stop - cursor + 1
end

function doing.p(root, profile, cursor, steps)
  local text = redis.call('HGET', root .. ':profile', profile)
  if not text then return nil, 1 end
  local offer, last = routing.offer_of(text), tonumber(redis.call('HGET', root, 'demand') or '0')
  if offer.models then return declared(root, profile, offer, #text, cursor, steps) end
  local stop = some_of(cursor, math.min(last, cursor + steps), function(number)
    local demand = text_of(number)
    local asked = redis.call('HGET', root .. ':demand', demand)
    if asked then routing.judge(root, profile, offer, demand, cjson.decode(asked), #asked + #text) end
  end)
  return stop < last and stop or nil, stop - cursor + 1
end

local function by_declaration(root, sid, parts, profile)
  local text = redis.call('HGET', root .. ':profile', profile)
  routing.weigh(#(text or '') / BYTES)
  if text and rules.fits(parts, routing.offer_of(text)) then
    routing.fits_by_declaration(root, profile, sid)
    routing.turned(root)
  end
end

function doing.b(root, sid, cursor, steps)
  local parts = routing.parts(root, sid)
  if not parts then return nil, 1 end
  local last = tonumber(redis.call('HGET', root, 'profile') or '0')
  local stop = some_of(cursor, math.min(last, cursor + steps), function(number)
    local profile = text_of(number)
    if redis.call('SISMEMBER', root .. ':declared', profile) == 1 then by_declaration(root, sid, parts, profile) end
  end)
  if stop < last then return stop, stop - cursor + 1 end
  routing.ring(root, sid, redis.call('ZCARD', root .. ':queue:' .. sid))
  return nil, stop - cursor + 1
end

-- Few are asked at once. Whether they were.
local function all_declared(root, sid, parts)
  local some = redis.call('SRANDMEMBER', root .. ':declared', text_of(FEW + 1))
  if #some > FEW then return false end
  for _, profile in ipairs(some) do
    if routing.is_too_much() then return false end
    by_declaration(root, sid, parts, profile)
  end
  return true
end

function doing.f(root, sid, cursor, steps)
  local demand = redis.call('HGET', root .. ':asked', sid)
  if not demand then return nil, 1 end
  local met = redis.call('GET', root .. ':meets:' .. demand) or ''
  local profiles, go_on = routing.members(met, math.min(steps * MACHINES_PER_STEP, FITS), cursor)
  for _, profile in ipairs(profiles) do redis.call('SETBIT', root .. ':fit:' .. text_of(profile), sid, 1) end
  if #profiles > 0 then routing.turned(root) end
  if not go_on then routing.ring(root, sid, redis.call('ZCARD', root .. ':queue:' .. sid)) end
  return go_on, math.ceil(#profiles / MACHINES_PER_STEP) + 1
end

function doing.s(root, sid, cursor, steps)
  local parts = routing.parts(root, sid)
  if not parts then return nil, 1 end
  if cursor == 0 and not all_declared(root, sid, parts) then routing.later(root, 'b' .. sid) end
  local tokens = routing.tokens(root, sid)
  local text = routing.aside(function()
    local target = routing.holders(root, tokens)
    local found = redis.call('GET', target)
    redis.call('DEL', target, routing.scratch(root, 'both'))
    return found or ''
  end)
  local ords, go_on = routing.members(text, math.min(steps * MACHINES_PER_STEP, ROWS), cursor)
  for _, ord in ipairs(ords) do redis.call('SETBIT', root .. ':row:' .. text_of(ord), sid, 1) end
  if #ords > 0 then routing.turned(root) end
  routing.ring(root, sid, redis.call('ZCARD', root .. ':queue:' .. sid))
  return go_on, math.ceil(#ords / MACHINES_PER_STEP) + 1
end

function doing.m(root, ord, _, steps) return routing.carry_on(root, ord, steps) end

function doing.t(root, ord, _, steps) return routing.compare(root, ord, steps) end

function doing.l(root, _, cursor, steps) return routing.find_leases(root, cursor, steps) end

function doing.h(root, _, cursor, steps) return routing.find_heads(root, cursor, steps) end

function doing.r(root, ord, _, steps) return routing.look_on(root, ord, steps) end

function doing.x(root, sid, cursor, steps)
  local last = math.max(tonumber(redis.call('HGET', root, 'machine') or '0'), tonumber(redis.call('HGET', root, 'profile') or '0'))
  local stop = many_of(cursor, math.min(last, cursor + steps * MACHINES_PER_STEP), function(number)
    for _, key in ipairs{root .. ':row:' .. number, root .. ':fit:' .. number} do
      if redis.call('EXISTS', key) == 1 then redis.call('SETBIT', key, sid, 0) end
    end
  end)
  if stop < last then return stop, steps end
  routing.give_back(root, 'signature', sid)
  return nil, math.ceil((stop - cursor) / MACHINES_PER_STEP) + 1
end

function doing.q(root, profile, cursor, steps)
  local last = tonumber(redis.call('HGET', root, 'demand') or '0')
  local stop = many_of(cursor, math.min(last, cursor + steps * MACHINES_PER_STEP), function(number)
    local key = root .. ':meets:' .. number
    if redis.call('EXISTS', key) == 1 then redis.call('SETBIT', key, profile, 0) end
  end)
  if stop < last then return stop, steps end
  redis.call('DEL', root .. ':fit:' .. profile)
  routing.give_back(root, 'profile', profile)
  return nil, math.ceil((stop - cursor) / MACHINES_PER_STEP) + 1
end

-- Goes through one queue after the other; within a queue by ZSCAN, which misses nothing that stays in it.
function doing.w(root, _, cursor, steps)
  local last = tonumber(redis.call('HGET', root, 'signature') or '0')
  local taken = 0
  while taken < steps and cursor < last do
    local sid, at = text_of(cursor), redis.call('HGET', root, 'sorting') or '0'
    local page = redis.call('ZSCAN', root .. ':queue:' .. sid, at, 'COUNT', 10)
    for n = 1, #page[2], 2 do
      routing.sort_anew(root, sid, page[2][n], page[2][n + 1])
      if routing.is_too_much() and n + 2 <= #page[2] then return cursor, taken + n end -- the page once more
    end
    taken = taken + 1 + #page[2] / 2
    redis.call('HSET', root, 'sorting', page[1])
    if page[1] == '0' then cursor = cursor + 1 end
  end
  return cursor < last and cursor or nil, taken
end

-- A task of a later release, which does it: it goes to the end.
local function pass_on(todo, task)
  redis.call('RPUSH', todo, task)
  redis.call('LPOP', todo)
  redis.call('DEL', todo .. ':at')
end

-- A task was done up to a cursor, or to its end.
local function done(todo, go_on)
  if go_on then return redis.call('SET', todo .. ':at', text_of(go_on)) end
  redis.call('LPOP', todo)
  redis.call('DEL', todo .. ':at')
end

-- Goes on with what is to be done, for about `steps`. Whether there is more, and how many steps are left.
function routing.settle(root, steps)
  local todo = root .. ':todo'
  local begun, passed = false, 0 -- tasks that were passed on since one was done
  while steps > 0 and not (begun and routing.is_too_much()) do
    begun = true
    local task = redis.call('LINDEX', todo, 0)
    if not task then return false, steps end
    routing.weigh(0) -- its time counts from here on
    local cursor, doer = tonumber(redis.call('GET', todo .. ':at') or '0'), doing[string.sub(task, 1, 1)]
    if doer then
      local go_on, taken = doer(root, string.sub(task, 2), cursor, steps)
      steps, passed = steps - math.max(1, taken), 0
      routing.weigh(taken / 2)
      done(todo, go_on)
    else
      if passed > 0 and not redis.call('LINDEX', todo, passed) then return false, steps end -- there is no other
      pass_on(todo, task)
      routing.weigh(1)
      passed = passed + 1
    end
  end
  return redis.call('EXISTS', todo) == 1, steps
end
