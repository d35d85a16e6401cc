-- mm_extend: the heartbeat of a running job: its lease begins anew.
--
-- KEYS  1 routing
-- ARGV  job, claim token, lease in ms
-- Returns OK deadline(ms of the server's clock) | STALE (somebody else has it, or it is over) | CANCELLED | GONE | BAD reason

local function mm_extend(keys, arguments)
  local root, id, token, lease = keys[1], arguments[1], arguments[2], routing.whole(arguments[3], 100, 86400000)
  if not routing.is_word(id) or not lease then return routing.bad('the job is no id, or the lease is not 100 ms to a day') end
  local refusal = routing.refusal(routing.job(root, id, 't'), token)
  if refusal then return {refusal} end
  local deadline = text_of(math.floor(routing.now() / 1000) + lease)
  redis.call('ZADD', root .. ':leases', deadline, id)
  return {'OK', deadline}
end

register('mm_extend', mm_extend, {'allow-oom'})
