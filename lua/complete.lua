-- mm_complete: a job is done. It counts once, for the holder of the lease.
--
-- KEYS  1 routing
-- ARGV  job, claim token, result (at most 4096 bytes), ms for which it is remembered (empty = as the pool says)
-- Returns DONE | REPEAT (the same completion again) | STALE | CANCELLED | GONE | BAD reason

local function mm_complete(keys, arguments)
  local root, id, token, result = keys[1], arguments[1], arguments[2], arguments[3] or ''
  local keep = routing.whole(arguments[4], 0, 86400000 * 30)
  if not routing.is_word(id) then return routing.bad('the job is no id') end
  if #result > 4096 then return routing.bad('the result is longer than 4096 bytes') end
  return {routing.complete(root, id, token, result, keep or routing.keep_ms(root), routing.now())}
end

register('mm_complete', mm_complete, {'allow-oom'})
