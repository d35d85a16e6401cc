-- mm_explain: who can do a job and who cannot, and why: by the rules that decide.
--
-- KEYS  1 routing   and, when one machine is asked about, 2 machine:{id}:model_manager (read)
-- ARGV  job (empty = none), requirements as JSON, customer, workflow, machine id (empty = those that lack least), at most so many
--       machines (1 to 50; the nearest alone when there are many models)
-- Returns OK JSON (eligible, pending, models: model, machines, without (how many could, if only this one were not needed);
--       requirement; machines: machine, seat, fits, live, missing, reasons (rule, why)) | GONE | UNKNOWN | BAD reason

local LOOKED_AT = 300

local function asked(root, arguments)
  local id, requirement, customer, workflow = arguments[1], arguments[2], arguments[3], arguments[4]
  if id ~= '' then
    local job = routing.is_word(id) and routing.job(root, id, 's')
    local parts = job and job.s and routing.parts(root, job.s)
    if not parts then return nil, {'GONE'} end
    return parts
  end
  if #(customer or '') > 200 or #(workflow or '') > 200 then return nil, routing.bad('the customer or the workflow is no id') end
  local parts, why = rules.read(requirement)
  if why then return nil, routing.bad(why) end
  return routing.with_facets(root, parts, customer, workflow)
end

local function about(root, parts, limit)
  local found, _, tokens = {}, rules.split(parts)
  for _, near in ipairs(routing.nearest(root, tokens, limit, LOOKED_AT)) do
    local machine = redis.call('HGET', root .. ':names', near.ord)
    for _, verdict in ipairs(machine and routing.verdicts(root, machine, parts) or {}) do
      if #found < limit then found[#found + 1] = verdict end
      routing.weigh(1 + #tokens / 6)
    end
    if routing.is_much() then return found end
  end
  return found
end

local function mm_explain(keys, arguments)
  local root, machine, limit = keys[1], arguments[5] or '', routing.whole(arguments[6], 1, 50)
  if not limit then return routing.bad('1 to 50 machines can be explained') end
  local parts, refusal = asked(root, arguments)
  if refusal then return refusal end
  local verdicts
  if machine == '' then
    verdicts = about(root, parts, limit)
  else
    verdicts = routing.verdicts(root, machine, parts)
    if not verdicts then return {'UNKNOWN'} end
    for _, verdict in ipairs(verdicts) do verdict.live = keys[2] ~= nil and redis.call('EXISTS', keys[2]) == 1 end
  end
  local sid = redis.call('HGET', root .. ':signatures', routing.canonical(parts))
  local texts = {}
  for n, verdict in ipairs(verdicts) do texts[n] = routing.verdict_json(verdict) end
  return {'OK', '{"eligible":' .. text_of(routing.number_able_to(root, parts))
    .. ',"pending":' .. text_of(sid and redis.call('ZCARD', root .. ':queue:' .. sid) or 0)
    .. ',"signature":"' .. (sid or '') .. '","models":' .. routing.list_json(routing.weighed(root, parts))
    .. ',"storage_gb":' .. routing.canonical(parts.storage or 0)
    .. ',"machines":[' .. table.concat(texts, ',') .. ']}'}
end

register('mm_explain', mm_explain, {'allow-oom'})
