-- What is said of a job, a requirement and a machine: by the same rules that decide.

local LOOKS = 5000 -- tokens that are looked up in one search; half a microsecond each

local function listed(names)
  local models = {}
  for n, token in ipairs(names or {}) do models[n] = rules.model_of(token) end
  return models
end

-- The parts of a signature, with models as people write them.
local function readable(parts)
  local shown = {}
  for name, part in pairs(parts or {}) do shown[name] = part end
  if shown.models then shown.models = listed(shown.models) end
  if shown.no and shown.no.models then
    local without = {}
    for name, part in pairs(shown.no) do without[name] = part end
    without.models = listed(without.models)
    shown.no = without
  end
  return shown
end

-- JSON of a table whose empty lists stay lists: those below `lists`.
local function json_of(value, lists)
  local parts = {}
  for _, name in ipairs(routing.names_of(value)) do
    local text = lists[name] and routing.list_json(value[name]) or routing.canonical(value[name])
    parts[#parts + 1] = cjson.encode(name) .. ':' .. text
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- What a claim tells of a signature is written down when it begins, so that nobody reads JSON while others wait: the requirement, and
-- a line for each of its models.
local function lines_of(parts)
  local lines = {routing.canonical(readable(parts))}
  for _, token in ipairs(parts and parts.models or {}) do lines[#lines + 1] = token end
  return table.concat(lines, '\n')
end

function routing.show(root, sid, text) redis.call('HSET', root .. ':shown', sid, lines_of(routing.parsed(text))) end

-- A signature's requirement as JSON, for people and workers, and its models as tokens.
function routing.requirement(root, sid)
  local lines = redis.call('HGET', root .. ':shown', sid) or lines_of(routing.parts(root, sid))
  local tokens, ends = {}, string.find(lines, '\n', 1, true)
  if not ends then return lines, tokens end
  for token in string.gmatch(lines, '\n([^\n]+)') do tokens[#tokens + 1] = token end
  return string.sub(lines, 1, ends - 1), tokens
end

local LISTS = {models = true, excluded = true, machines = true, reasons = true, missing = true}

-- Which models are at how many machines, as JSON; and one that is nowhere.
function routing.availability(root, parts)
  local found, lacking = {}, nil
  for n, token in ipairs(parts.models or {}) do
    local _, number = routing.column(root, token)
    local model = rules.model_of(token)
    found[n] = '{"machines":' .. text_of(number) .. ',"model":' .. cjson.encode(model) .. '}'
    if number == 0 then lacking = lacking or model end
  end
  return '[' .. table.concat(found, ',') .. ']', lacking
end

-- A job as JSON, or nil. `fully`: with the availability of its models.
function routing.told_job(root, id, fully)
  local job = routing.job(root, id, 's', 'pr', 'a', 'mx', 'at', 'pol', 'c', 'wf', 'w', 'm', 'why', 'rs', 'x', 'l', 'p')
  if not job then return nil end
  local parts, score = job.s and routing.parts(root, job.s), routing.score(root, id, job)
  local shown = {id = id, state = job.st, signature = job.s or '', priority = tonumber(job.pr or '0'), attempts = tonumber(job.a or '0'),
    max_attempts = tonumber(job.mx or '3'), submitted_ms = routing.submitted(job, score), policy = job.pol or 'wait', customer = job.c or '',
    workflow = job.wf or '', worker = job.w or '', machine = job.m or '', why = job.why or '', result = job.rs or '',
    payload = routing.body(root, id), requirement = readable(parts), excluded = job.x and cjson.decode(job.x) or {},
    score = tonumber(score or '0'), taken_in = job.l ~= nil}
  if job.st == 'running' then shown.deadline_ms = tonumber(redis.call('ZSCORE', root .. ':leases', id) or '0') end
  if job.st == 'delayed' then shown.due_ms = tonumber(redis.call('ZSCORE', root .. ':delayed', id) or '0') end
  if not fully or not parts then return json_of(shown, LISTS) end
  shown.eligible = routing.number_able_of(root, job.s)
  local models = routing.availability(root, parts)
  return string.sub(json_of(shown, LISTS), 1, -2) .. ',"models":' .. models .. '}'
end

local function lacking(root, ord, tokens)
  local missing, reasons = {}, {}
  for _, token in ipairs(tokens) do
    local plain = string.gsub(token, '^!', '')
    local barred = plain ~= token
    if not routing.holds(root, ord, token) then
      local kind = string.sub(plain, 1, 2)
      if kind == 'a:' then
        reasons[#reasons + 1] = {rule = 'elsewhere', why = 'it was found to lack what this job needs, a short while ago'}
      elseif kind == 'd:' then
        local free = redis.call('ZSCORE', root .. ':disk', ord)
        local amount = free and routing.canonical(math.floor(tonumber(free) / 1e6) / 1e3) .. ' GB are free' or 'it does not say how much is free'
        reasons[#reasons + 1] = {rule = 'storage', why = amount .. ', wanted are ' .. (barred and 'less than ' or '') .. string.sub(plain, 3)}
      elseif barred then
        reasons[#reasons + 1] = {rule = 'models', why = 'it has what is not wanted: ' .. rules.model_of(plain)}
      else
        missing[#missing + 1] = rules.model_of(plain)
      end
    end
  end
  if #missing > 0 then reasons[#reasons + 1] = {rule = 'models', why = 'it lacks ' .. table.concat(missing, ', ')} end
  return missing, reasons
end

-- Why one seat of a machine can or cannot do it.
function routing.verdict(root, machine, ord, seat, profile, parts)
  local text = redis.call('HGET', root .. ':profile', profile)
  local offer = text and routing.offer_of(text) or {}
  local _, tokens = rules.split(parts)
  local missing, reasons = {}, {}
  if offer.models then
    local barred = {}
    for _, token in ipairs(tokens) do
      if string.sub(token, 1, 3) == '!a:' then barred[#barred + 1] = token end
    end
    tokens = barred
  end
  missing, reasons = lacking(root, ord, tokens)
  for _, refusal in ipairs(rules.refusals(parts, offer, true)) do reasons[#reasons + 1] = refusal end
  return {machine = machine, seat = seat, fits = #reasons == 0, reasons = reasons, missing = missing}
end

-- Per seat of a machine; one without a seat is told so.
function routing.verdicts(root, machine, parts)
  local ord, found = routing.machine(root, machine), {}
  if not ord then return nil end
  local seats = redis.call('HGETALL', root .. ':seats:' .. ord)
  for n = 1, #seats, 2 do found[#found + 1] = routing.verdict(root, machine, ord, seats[n], seats[n + 1], parts) end
  if #found == 0 then
    local _, tokens = rules.split(parts)
    local missing, reasons = lacking(root, ord, tokens)
    reasons[#reasons + 1] = {rule = 'service', why = 'none of its workers has said what it offers'}
    found[1] = {machine = machine, seat = '', fits = false, reasons = reasons, missing = missing}
  end
  return found
end

function routing.verdict_json(verdict) return json_of(verdict, LISTS) end

-- The machines that lack the fewest of the tokens: {ord, number lacking}, among `most` that are looked at, fewer for many tokens.
function routing.nearest(root, tokens, limit, most)
  local found, columns = {}, {}
  for n, token in ipairs(tokens) do
    local plain = string.match(token, '^!(.+)$')
    columns[n] = {text = (routing.column(root, plain or token)), barred = plain ~= nil}
  end
  most = math.min(most, math.ceil(LOOKS / (#tokens + 1)))
  for _, ord in ipairs((routing.members(redis.call('GET', root .. ':present') or '', most))) do
    local number = 0
    for _, column in ipairs(columns) do
      if routing.has(column.text, ord) == column.barred then number = number + 1 end
    end
    found[#found + 1] = {ord = text_of(ord), lacking = number}
  end
  table.sort(found, function(one, other)
    if one.lacking ~= other.lacking then return one.lacking < other.lacking end
    return tonumber(one.ord) < tonumber(other.ord)
  end)
  for n = #found, limit + 1, -1 do found[n] = nil end
  return found
end

-- How many machines hold all but one of the models, for each of them. Of the models before and of those behind it the AND is
-- known already, so that many cost little more than few.
local function without_each(root, models, rest)
  local before, target, columns, borrowed = routing.scratch(root, 'before'), routing.scratch(root, 'each'), {}, {}
  local behind = {[#models + 1] = routing.scratch(root, 'behind0')}
  redis.call('BITOP', 'OR', behind[#models + 1], routing.holders(root, rest))
  redis.call('BITOP', 'OR', before, behind[#models + 1])
  for n = #models, 1, -1 do
    columns[n], behind[n] = routing.column_key(root, models[n], borrowed), routing.scratch(root, 'behind' .. n)
    redis.call('BITOP', 'AND', behind[n], behind[n + 1], columns[n])
  end
  local numbers = {}
  for n = 1, #models do
    redis.call('BITOP', 'AND', target, before, behind[n + 1])
    numbers[n] = redis.call('BITCOUNT', target)
    redis.call('BITOP', 'AND', before, before, columns[n])
  end
  redis.call('DEL', before, target, routing.scratch(root, 'holders'), routing.scratch(root, 'both'), unpack(behind))
  if #borrowed > 0 then redis.call('DEL', unpack(borrowed)) end
  return numbers
end

-- Per model: how many machines have it, and how many could do the job if only this one were not needed.
function routing.weighed(root, parts)
  local models, rest, seen, _, tokens = parts.models or {}, {}, {}, rules.split(parts)
  if #models == 0 then return {} end
  for _, token in ipairs(models) do seen[token] = true end
  for _, token in ipairs(tokens) do
    if not seen[token] then rest[#rest + 1] = token end
  end
  local numbers, told = routing.aside(function() return without_each(root, models, rest) end), {}
  for n, token in ipairs(models) do
    local _, machines = routing.column(root, token)
    told[n] = {model = rules.model_of(token), machines = machines, without = numbers[n]}
  end
  return told
end
