-- mm_demand: what jobs of the policy `fetch` want this machine to have: for each signature that no machine can do, the
-- machine that lacks least of those that otherwise could is told, and no other for a while.
--
-- KEYS  1 routing   2 machine:{id}:model_manager (read)
-- ARGV  machine id, ms for which nobody else is told the same, at most so many signatures (1 to 20)
-- Returns OK, and for each: signature, JSON (models: what is missing; jobs: how many wait) | AWAY | BAD reason

local SIGNATURES = 10 -- that one call looks at, in turns
local ROOM = 40 -- steps that are left where another signature is looked at
local LOOKS, NEARER = 500, 20 -- of one signature: tokens looked up, and machines that lack less; whoever is not behind those is near enough

-- Missing models, or nil where more than models is missing.
local function lacks_only_models(root, machine, parts)
  for _, verdict in ipairs(routing.verdicts(root, machine, parts) or {}) do
    local other = false
    for _, each in ipairs(verdict.reasons) do other = other or each.rule ~= 'models' end
    if not other and #verdict.missing > 0 then return verdict.missing end
  end
end

-- Whether nobody lacks less. Storage and exclusions count like models.
local function is_nearest(root, ord, machine, parts)
  local tokens = rules.tokens(parts)
  for _, near in ipairs(routing.nearest(root, tokens, NEARER, math.ceil(LOOKS / (#tokens + 1)))) do
    if near.ord == ord then return true end
    if routing.is_too_much() then return true end -- a machine that fetches what is nearer elsewhere harms nobody
    local name = redis.call('HGET', root .. ':names', near.ord)
    if name and lacks_only_models(root, name, parts) then return false end
  end
  return true
end

-- What this machine is to fetch for a signature, as JSON; nil for nothing.
local function errand(call, sid, value)
  local root, machine, ends, holder = call.root, call.machine, string.match(value, '^(%d+) (.*)$')
  local parts, jobs = routing.parts(root, sid), redis.call('ZCARD', root .. ':queue:' .. sid)
  if not parts or jobs == 0 or routing.number_able_of(root, sid) > 0 then
    redis.call('HDEL', root .. ':fetch', sid)
    return nil
  end
  if ends and tonumber(ends) > call.now and holder ~= machine then return nil end
  local missing = lacks_only_models(root, machine, parts)
  if not missing or holder ~= machine and not is_nearest(root, call.ord, machine, parts) then return nil end
  redis.call('HSET', root .. ':fetch', sid, text_of(call.now + call.hold) .. ' ' .. machine)
  redis.call('HSET', root .. ':errands', sid, text_of(call.now))
  return '{"models":' .. routing.list_json(missing) .. ',"jobs":' .. text_of(jobs) .. '}'
end

-- Signatures and their values, one after the other, from where the call before left off; and the field that says how far this one came,
-- where all of them are listed: servers scan a small hash at once, and of a large one what they come to.
local function wanted_by(root)
  local page = redis.call('HSCAN', root .. ':fetch', redis.call('HGET', root, 'demanding') or '0', 'COUNT', '2')
  local flat, first = page[2], tonumber(redis.call('HGET', root, 'demanded') or '0')
  if #flat == 2 * redis.call('HLEN', root .. ':fetch') then return flat, 2 * first < #flat and first or 0, 'demanded' end
  redis.call('HSET', root, 'demanding', page[1])
  return flat, 0
end

local function mm_demand(keys, arguments)
  local root, machine, hold, limit = keys[1], arguments[1], routing.whole(arguments[2], 1000, 86400000), routing.whole(arguments[3], 1, 20)
  if not routing.is_machine(machine) or not hold or not limit then return routing.bad('the machine, the time or the limit cannot be meant so') end
  routing.weigh(0)
  local call = {root = root, machine = machine, hold = hold, ord = routing.machine(root, machine), now = math.floor(routing.now() / 1000)}
  if not call.ord or redis.call('EXISTS', keys[2]) == 0 then return {'AWAY'} end
  local reply, wanted, at, field = {'OK'}, wanted_by(root)
  local first = at
  while 2 * at < #wanted and at < first + SIGNATURES and #reply < 2 * limit and (at == first or not field or routing.has_room(ROOM)) do
    local sid = wanted[2 * at + 1]
    local told = errand(call, sid, wanted[2 * at + 2])
    if told then reply[#reply + 1], reply[#reply + 2] = sid, told end
    at = at + 1
  end
  if field then redis.call('HSET', root, field, text_of(at)) end
  return reply
end

register('mm_demand', mm_demand, {})
