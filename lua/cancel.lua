-- mm_cancel: a job is not wanted any more. A worker that has it hears of it at its next mm_extend or mm_complete.
--
-- KEYS  1 routing
-- ARGV  job
-- Returns CANCELLED | OVER state | GONE | BAD reason

local function mm_cancel(keys, arguments)
  local root, id = keys[1], arguments[1]
  if not routing.is_word(id) then return routing.bad('the job is no id') end
  local job = routing.placeable(root, id)
  if not job then return {'GONE'} end
  if job.st == 'cancelled' or routing.cancel(root, id, job, routing.now()) then return {'CANCELLED'} end
  return {'OVER', job.st}
end

register('mm_cancel', mm_cancel, {'allow-oom'})
