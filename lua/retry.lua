-- mm_retry: a job that is dead, cancelled or delayed waits again, at its old place, with all its attempts.
--
-- KEYS  1 routing
-- ARGV  job
-- Returns PENDING | OVER state (nothing to do) | GONE | BAD reason

local function mm_retry(keys, arguments)
  local root, id = keys[1], arguments[1]
  if not routing.is_word(id) then return routing.bad('the job is no id') end
  local job = routing.placeable(root, id)
  if not job then return {'GONE'} end
  if not job.s then return {'OVER', 'dead and unreadable: submit it anew'} end
  if routing.retry(root, id, job, routing.now()) then return {'PENDING'} end
  return {'OVER', job.st}
end

register('mm_retry', mm_retry, {})
