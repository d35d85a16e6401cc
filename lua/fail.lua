-- mm_fail: a job could not be done.
--
-- KEYS  1 routing
-- ARGV  job, claim token, mode, reason (at most 1000 bytes), first wait before it is tried again in ms (doubled by each attempt)
-- mode  retry: once more, after the wait, until the attempts are used up.  elsewhere: the same, but not on this machine.
--       missing_model: at once, not on this machine, and no attempt is charged.  final: never again.
-- Returns PENDING | DELAYED due(ms of the server's clock) | DEAD | STALE | CANCELLED | GONE | BAD reason

local MODES = {retry = true, elsewhere = true, missing_model = true, final = true}

local function mm_fail(keys, arguments)
  local root, id, token, mode, why = keys[1], arguments[1], arguments[2], arguments[3], arguments[4] or ''
  local backoff = routing.whole(arguments[5], 0, 3600000)
  if not routing.is_word(id) or not MODES[mode] then return routing.bad('the job is no id, or the mode none of ours') end
  if #why > 1000 or not backoff then return routing.bad('the reason is longer than 1000 bytes, or the wait longer than an hour') end
  local job = routing.placeable(root, id)
  local refusal = routing.refusal(job, token)
  if refusal then return {refusal} end
  return routing.failed(root, id, job, mode, why, backoff, routing.now())
end

register('mm_fail', mm_fail, {'allow-oom'})
