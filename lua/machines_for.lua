-- mm_machines_for: which machines can do a job with these requirements.
--
-- KEYS  1 routing
-- ARGV  requirements as JSON, customer, workflow, at most so many ids (0 to 1000)
-- Returns OK number (at least, in a pool of more or larger offers than one call can judge) id... | BAD reason

local function mm_machines_for(keys, arguments)
  local root, limit = keys[1], routing.whole(arguments[4], 0, 1000)
  if not limit then return routing.bad('0 to 1000 machines can be listed') end
  if #(arguments[2] or '') > 200 or #(arguments[3] or '') > 200 then return routing.bad('the customer or the workflow is no id') end
  routing.weigh(0)
  local parts, why = rules.read(arguments[1])
  if not parts then return routing.bad(why) end
  parts = routing.with_facets(root, parts, arguments[2], arguments[3])
  local sid = redis.call('HGET', root .. ':signatures', routing.canonical(parts))
  local able, number
  if sid and redis.call('EXISTS', root .. ':todo') == 0 then able, number = routing.able_of(root, sid)
  else able, number = routing.able_to(root, parts) end
  local reply = {'OK', text_of(number)}
  if limit == 0 then return reply end
  local ords = routing.members(able, limit)
  for n, ord in ipairs(ords) do ords[n] = text_of(ord) end
  for _, machine in ipairs(routing.gathered('HMGET', root .. ':names', ords)) do
    if machine then reply[#reply + 1] = machine end
  end
  return reply
end

register('mm_machines_for', mm_machines_for, {'allow-oom'})
