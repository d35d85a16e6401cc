-- mm_explain: who can do a job and who cannot, and why: by the rules that decide.
--
-- KEYS  1 routing   and, when one machine is asked about, 2 machine:{id}:model_manager (read)
-- ARGV  job (empty = none), requirements as JSON, customer, workflow, machine id (empty = those that lack least), at most so many
--       machines (0 to 50), the first model to tell of (1 ...; 0 = none, and nothing of what only the first call says), the first
--       machine (1 ...; of one machine alone its first seat)
-- Returns OK JSON next_model next_machine (0 = none is left: else ask for the rest, with these) | GONE | UNKNOWN | BAD reason
-- JSON  of the first call (with machines and models): eligible (at least, in a pool of more or larger offers than one call can judge), pending, signature, storage_gb;
--       of all: models (model, machines, without (how many could, if only this one were not needed)), machines (machine, seat, fits,
--       live, missing, reasons (rule, why))

local LOOKED_AT, MOST, SEATS = 300, 50, 64
local READ = 512 -- bytes of a requirement that are read in a step
local BEGUN = 40 -- steps that a part takes at least; one that may not end in time is left to the next call

local function asked(root, arguments)
  local id, requirement, customer, workflow = arguments[1], arguments[2], arguments[3], arguments[4]
  if id ~= '' then
    local job = routing.is_word(id) and routing.job(root, id, 's')
    local text = job and job.s and routing.definition(root, job.s)
    if not text then return nil, {'GONE'} end
    routing.weigh(#text / READ)
    return routing.parsed(text)
  end
  if #(customer or '') > 200 or #(workflow or '') > 200 then return nil, routing.bad('the customer or the workflow is no id') end
  local parts, why = rules.read(requirement)
  if not parts then return nil, routing.bad(why) end
  routing.weigh(#requirement / READ)
  return routing.with_facets(root, parts, customer, workflow)
end

-- The verdicts of the nearest machines from `first` on, as JSON, and the next one; 0 for none.
local function about(root, parts, limit, first)
  local found, tokens = {}, rules.tokens(parts)
  local columns = routing.columns_of(root, tokens)
  local near = routing.nearest(root, tokens, MOST, LOOKED_AT, columns)
  for n = first, #near do
    if #found >= limit then return found, 0 end
    if n > first and routing.is_much() then return found, n end
    local machine = redis.call('HGET', root .. ':names', near[n].ord)
    for _, verdict in ipairs(machine and routing.verdicts(root, machine, parts, columns) or {}) do
      if #found < limit then found[#found + 1] = routing.verdict_json(verdict) end
      routing.weigh(1 + #tokens / 6)
    end
  end
  return found, 0
end

-- One machine's, seat by seat, or nil when it is unknown.
local function alone(root, machine, parts, lease, first)
  local verdicts, next_seat = routing.verdicts(root, machine, parts, nil, first)
  local live = verdicts and lease ~= nil and redis.call('EXISTS', lease) == 1
  for n, verdict in ipairs(verdicts or {}) do
    verdict.live = live
    verdicts[n] = routing.verdict_json(verdict)
  end
  return verdicts, next_seat
end

local function eligible(root, parts, sid)
  if sid and redis.call('EXISTS', root .. ':todo') == 0 then return routing.number_able_of(root, sid) end
  return (routing.number_able_to(root, parts))
end

-- What only the first of several calls says.
local function head(root, parts)
  local sid = redis.call('HGET', root .. ':signatures', routing.canonical(parts))
  return '"eligible":' .. text_of(eligible(root, parts, sid))
    .. ',"pending":' .. text_of(sid and redis.call('ZCARD', root .. ':queue:' .. sid) or 0)
    .. ',"signature":"' .. (sid or '') .. '","storage_gb":' .. routing.canonical(parts.storage or 0)
end

local function told(said, verdicts, models, next_model, next_machine)
  local text = '{' .. said .. '"models":' .. routing.list_json(models) .. ',"machines":[' .. table.concat(verdicts, ',') .. ']}'
  return {'OK', text, text_of(next_model), text_of(next_machine)}
end

local function mm_explain(keys, arguments)
  local root, machine, limit = keys[1], arguments[5] or '', routing.whole(arguments[6], 0, MOST)
  local first, machines = routing.whole(arguments[7] or '1', 0, 1000), routing.whole(arguments[8] or '1', 1, SEATS)
  routing.weigh(0)
  if not limit or not first or not machines then return routing.bad('0 to 50 machines can be explained, from some model and machine on') end
  local parts, refusal = asked(root, arguments)
  if refusal then return refusal end
  if limit == 0 then
    local models, next_model = routing.weighed(root, parts, math.max(first, 1))
    return told('', {}, models, next_model or 0, 0)
  end
  local said, verdicts, next_machine = first > 0 and head(root, parts) .. ',' or '', nil, 0
  if first > 0 and not routing.has_room(BEGUN) then return told(said, {}, {}, first, machines) end
  if machine ~= '' then verdicts, next_machine = alone(root, machine, parts, keys[2], machines)
  else verdicts, next_machine = about(root, parts, limit, machines) end
  if not verdicts then return {'UNKNOWN'} end
  if first == 0 or not routing.has_room(BEGUN) then return told(said, verdicts, {}, first, next_machine) end
  local models, next_model = routing.weighed(root, parts, first)
  return told(said, verdicts, models, next_model or 0, next_machine)
end

register('mm_explain', mm_explain, {'allow-oom'})
