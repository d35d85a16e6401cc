-- mm_settle: goes on with indexing that was too long for one call.
--
-- KEYS  1 routing
-- ARGV  about so many steps (1 to 2000; one is some 10 us, and no call does more than 200)
-- Returns OK more (1 = call again) | BAD reason

local AT_ONCE = 200 -- whatever is asked for: others wait

local function mm_settle(keys, arguments)
  local steps = routing.whole(arguments[1], 1, 2000)
  if not steps then return routing.bad('the steps are not 1 to 2000') end
  return {'OK', routing.settle(keys[1], math.min(steps, AT_ONCE)) and '1' or '0'}
end

register('mm_settle', mm_settle, {})
