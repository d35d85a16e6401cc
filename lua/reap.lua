-- mm_reap: leases that ended, delays that are over, exclusions and seats whose time is up, rings that were lost.
-- Claims and beats do a little of it; whoever wants it done now calls this.
--
-- KEYS  1 routing
-- ARGV  at most so many of each (1 to 500; no call does more than 50)
-- Returns OK requeued dead promoted rung more (1 = call again) | BAD reason

local AT_ONCE = 50 -- whatever is asked for: others wait

local function mm_reap(keys, arguments)
  local root, limit = keys[1], routing.whole(arguments[1], 1, 500)
  if not limit then return routing.bad('the limit is not 1 to 500') end
  local now = routing.now()
  limit = math.min(limit, AT_ONCE)
  local told = routing.due(root, now, limit)
  local rung = routing.heal(root, now, limit)
  local more = routing.settle(root, limit) or told.requeued + told.dead >= limit or told.promoted >= limit
  return {'OK', text_of(told.requeued), text_of(told.dead), text_of(told.promoted), text_of(rung), more and '1' or '0'}
end

register('mm_reap', mm_reap, {'allow-oom'})
