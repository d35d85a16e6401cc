-- mm_demand: what jobs of the policy `fetch` want this machine to have: for each signature that no machine can do, the
-- machine that lacks least of those that otherwise could is told, and no other for a while.
--
-- KEYS  1 routing   2 machine:{id}:model_manager (read)
-- ARGV  machine id, ms for which nobody else is told the same, at most so many signatures (1 to 20)
-- Returns OK, and for each: signature, JSON (models: what is missing; jobs: how many wait) | AWAY | BAD reason

local SIGNATURES = 10 -- that one call looks at, in turns
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
  local _, tokens = rules.split(parts)
  for _, near in ipairs(routing.nearest(root, tokens, NEARER, math.ceil(LOOKS / (#tokens + 1)))) do
    if near.ord == ord then return true end
    local name = redis.call('HGET', root .. ':names', near.ord)
    if name and lacks_only_models(root, name, parts) then return false end
  end
  return true
end

local function mm_demand(keys, arguments)
  local root, machine, hold, limit = keys[1], arguments[1], routing.whole(arguments[2], 1000, 86400000), routing.whole(arguments[3], 1, 20)
  if not routing.is_machine(machine) or not hold or not limit then return routing.bad('the machine, the time or the limit cannot be meant so') end
  local ord = routing.machine(root, machine)
  if not ord or redis.call('EXISTS', keys[2]) == 0 then return {'AWAY'} end
  local reply, now = {'OK'}, math.floor(routing.now() / 1000)
  local wanted = redis.call('HGETALL', root .. ':fetch')
  local first = tonumber(redis.call('HGET', root, 'demanded') or '0')
  if 2 * first >= #wanted then first = 0 end
  redis.call('HSET', root, 'demanded', text_of(first + SIGNATURES))
  for n = 2 * first + 1, math.min(#wanted, 2 * (first + SIGNATURES)), 2 do
    local sid, ends, holder = wanted[n], string.match(wanted[n + 1], '^(%d+) (.*)$')
    local parts, jobs = routing.parts(root, sid), redis.call('ZCARD', root .. ':queue:' .. sid)
    local held_by_other = ends and tonumber(ends) > now and holder ~= machine
    if not parts or jobs == 0 or routing.number_able_of(root, sid) > 0 then
      redis.call('HDEL', root .. ':fetch', sid)
    elseif not held_by_other and #reply < 2 * limit then
      local missing = lacks_only_models(root, machine, parts)
      if missing and (holder == machine or is_nearest(root, ord, machine, parts)) then
        redis.call('HSET', root .. ':fetch', sid, text_of(now + hold) .. ' ' .. machine)
        redis.call('HSET', root .. ':errands', sid, text_of(now))
        reply[#reply + 1] = sid
        reply[#reply + 1] = '{"models":' .. routing.list_json(missing) .. ',"jobs":' .. text_of(jobs) .. '}'
      end
    end
  end
  return reply
end

register('mm_demand', mm_demand, {})
