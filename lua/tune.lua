-- mm_tune: a setting of the pool.
--
-- KEYS  1 routing
-- ARGV  name, value
-- name  priority_ms: how much earlier than it was submitted a job counts for each point of priority (1 to 3600000; 60000).
--       take_in: which jobs of the running fleet mm_find_matching_job takes in: all or eligible (usual).
--       keep_ms: how long what is over is remembered (0 to 30 days; an hour).
-- Returns OK | BAD reason

local BOUNDS = {priority_ms = {1, 3600000}, keep_ms = {0, 86400000 * 30}}

local function mm_tune(keys, arguments)
  if arguments[1] == 'take_in' and (arguments[2] == 'all' or arguments[2] == 'eligible') then
    redis.call('HSET', keys[1], 'take_in', arguments[2])
    return {'OK'}
  end
  local bounds_of = BOUNDS[arguments[1]]
  if not bounds_of then return routing.bad('the pool has no such setting') end
  local value = routing.whole(arguments[2], bounds_of[1], bounds_of[2])
  if not value then return routing.bad('the value is out of bounds') end
  redis.call('HSET', keys[1], arguments[1], text_of(value))
  routing.retuned(keys[1])
  return {'OK'}
end

register('mm_tune', mm_tune, {})
