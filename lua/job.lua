-- mm_job: everything that is known of a job.
--
-- KEYS  1 routing
-- ARGV  job
-- Returns OK JSON payload | GONE | BAD reason
-- JSON  id, state, signature, priority, attempts, max_attempts, submitted_ms, policy, customer, workflow, worker, machine, why, result,
--       requirement, excluded, score, taken_in, eligible, models; deadline_ms while it runs, due_ms while it is delayed; began_ms
--       and ended_ms of the try that runs or is done; tries, if any did not end well, the last 8 of them, the oldest first
--       tries: machine, worker, attempt, began_ms (0 = not known), ended_ms, how (what mm_fail was told, or lease, cancelled), why

local function mm_job(keys, arguments)
  if not routing.is_word(arguments[1]) then return routing.bad('the job is no id') end
  local told, payload = routing.told_job(keys[1], arguments[1], true)
  if not told then return {'GONE'} end
  return {'OK', told, payload}
end

register('mm_job', mm_job, {'allow-oom'})
