-- What is said of a job, a requirement and a machine: by the same rules that decide.

local LOOKS = 1000 -- tokens that are looked up in one search; half a microsecond each
local WEIGHED = 16 -- models that one call weighs

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

local function number_of(text) return routing.canonical(tonumber(text or '0')) end

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
local function lines_of(parts, text)
  local plain = text and not parts.models and not (parts.no and parts.no.models)
  local lines = {plain and text or routing.canonical(readable(parts))}
  for _, token in ipairs(parts and parts.models or {}) do lines[#lines + 1] = token end
  return table.concat(lines, '\n')
end

-- The requirement.
local function first_line(lines)
  local ends = string.find(lines, '\n', 1, true)
  return ends and string.sub(lines, 1, ends - 1) or lines
end

local told_tokens = {} -- used again by the next call

-- The same, and the models as tokens, until it is called again.
function routing.read_lines(lines)
  local number, from = 0, string.find(lines, '\n', 1, true)
  local asks = from and string.sub(lines, 1, from - 1) or lines
  while from do
    local ends = string.find(lines, '\n', from + 1, true)
    number = number + 1
    told_tokens[number], from = string.sub(lines, from + 1, (ends or 0) - 1), ends
  end
  for n = #told_tokens, number + 1, -1 do told_tokens[n] = nil end
  return asks, told_tokens
end

function routing.show(root, sid, text)
  local lines = lines_of(routing.parsed(text), text)
  redis.call('HSET', root .. ':shown', sid, lines)
  routing.shows(root, sid, lines)
end

-- What a claim tells of a signature, as it was written down.
function routing.lines(root, sid) return redis.call('HGET', root .. ':shown', sid) or lines_of(routing.parts(root, sid)) end

-- A signature's requirement as JSON, for people and workers.
function routing.requirement(root, sid) return first_line(routing.lines(root, sid)) end

local LISTS = {models = true, excluded = true, machines = true, reasons = true, missing = true}

-- Which models are at how many machines, as JSON; and one that is nowhere.
function routing.availability(root, parts)
  local found, lacking, models = {}, nil, parts.models or {}
  for n, number in ipairs(#models > 0 and routing.numbers(root, models) or {}) do
    local model = rules.model_of(models[n])
    found[n] = '{"machines":' .. text_of(number) .. ',"model":' .. cjson.encode(model) .. '}'
    if number == 0 then lacking = lacking or model end
  end
  return '[' .. table.concat(found, ',') .. ']', lacking
end

local TEXTS = {{'c', 'customer'}, {'wf', 'workflow'}, {'w', 'worker'}, {'m', 'machine'}, {'why', 'why'}, {'rs', 'result'}}

local function counted(name, value) return ',"' .. name .. '":' .. number_of(value) end

-- When its lease ends, or its delay.
local function ends_of(root, id, job)
  if job.st == 'running' then return counted('deadline_ms', redis.call('ZSCORE', root .. ':leases', id)) end
  if job.st == 'delayed' then return counted('due_ms', redis.call('ZSCORE', root .. ':delayed', id)) end
  return ''
end

-- When its last try began and ended, of one that runs or is done.
local function tried(job)
  if job.st ~= 'running' and job.st ~= 'done' then return '' end
  return (job.ta and counted('began_ms', job.ta) or '') .. (job.te and counted('ended_ms', job.te) or '')
end

-- A job as JSON, and its payload; or nil. `fully`: with the availability of its models, and the tries that did not end well.
function routing.told_job(root, id, fully)
  local job = routing.job(root, id, 's', 'pr', 'a', 'mx', 'at', 'pol', 'c', 'wf', 'w', 'm', 'why', 'rs', 'x', 'l', 'p', 'b', 'ta', 'te', 'tr')
  if not job then return nil end
  local score = routing.score(root, id, job)
  local told = {'{"id":', cjson.encode(id), ',"state":"', job.st, '","signature":"', job.s or '', '","policy":"', job.pol or 'wait', '"',
    counted('priority', job.pr), counted('attempts', job.a), counted('max_attempts', job.mx or '3'), counted('score', score),
    ',"submitted_ms":', number_of(text_of(routing.submitted(job, score))), ',"taken_in":', job.l and 'true' or 'false', ',"excluded":', job.x or '[]',
    ',"requirement":', job.s and routing.requirement(root, job.s) or '{}', ends_of(root, id, job), tried(job)}
  for _, name in ipairs(TEXTS) do told[#told + 1] = ',"' .. name[2] .. '":' .. cjson.encode(job[name[1]] or '') end
  if fully and job.tr then told[#told + 1] = ',"tries":[' .. string.gsub(job.tr, '\n', ',') .. ']' end
  local parts = fully and job.s and routing.parts(root, job.s)
  if parts then
    told[#told + 1] = counted('eligible', text_of(routing.number_able_of(root, job.s))) .. ',"models":' .. routing.availability(root, parts)
  end
  told[#told + 1] = '}'
  return table.concat(told), job.b or redis.call('GET', root .. ':body:' .. id) or ''
end

local function why_not(token, barred, root, ord)
  local kind, rest = string.sub(token, 1, 2), string.sub(token, 3)
  if kind == 'a:' then return {rule = 'elsewhere', why = 'it was found to lack what this job needs, a short while ago'} end
  if kind == 'd:' then
    local free = redis.call('ZSCORE', root .. ':disk', ord)
    local amount = free and routing.canonical(math.floor(tonumber(free) / 1e6) / 1e3) .. ' GB are free' or 'it does not say how much is free'
    return {rule = 'storage', why = amount .. ', wanted are ' .. (barred and 'less than ' or '') .. rest}
  end
  if barred then return {rule = 'models', why = 'it has what is not wanted: ' .. rules.model_of(token)} end
end

-- `columns`: the texts of their columns, as routing.columns has them.
local function lacking(root, ord, tokens, columns)
  local missing, reasons = {}, {}
  for _, token in ipairs(tokens) do
    local plain = string.match(token, '^!(.+)$')
    local has = routing.has(columns[plain or token], tonumber(ord))
    if has == (plain ~= nil) then
      local reason = why_not(plain or token, plain ~= nil, root, ord)
      if reason then reasons[#reasons + 1] = reason else missing[#missing + 1] = rules.model_of(token) end
    end
  end
  if #missing > 0 then reasons[#reasons + 1] = {rule = 'models', why = 'it lacks ' .. table.concat(missing, ', ')} end
  return missing, reasons
end

local function kept_from(tokens)
  local barred = {}
  for _, token in ipairs(tokens) do
    if string.sub(token, 1, 3) == '!a:' then barred[#barred + 1] = token end
  end
  return barred
end

-- The columns of all tokens, also of those with a `!`.
function routing.columns_of(root, tokens)
  local plain = {}
  for n, token in ipairs(tokens) do plain[n] = string.match(token, '^!(.+)$') or token end
  return routing.columns(root, plain)
end

-- Why one seat of a machine can or cannot do it.
local function verdict(root, machine, ord, seat, profile, parts, tokens, columns)
  local text = redis.call('HGET', root .. ':profile', profile)
  local offer = text and routing.offer_of(text) or {}
  routing.weigh(#(text or '') / 512)
  if offer.models then tokens = kept_from(tokens) end
  local missing, reasons = lacking(root, ord, tokens, columns)
  for _, refusal in ipairs(rules.refusals(parts, offer)) do reasons[#reasons + 1] = refusal end
  return {machine = machine, seat = seat, fits = #reasons == 0, reasons = reasons, missing = missing}
end

local function without_seat(root, machine, ord, tokens, columns)
  local missing, reasons = lacking(root, ord, tokens, columns)
  reasons[#reasons + 1] = {rule = 'service', why = 'none of its workers has said what it offers'}
  return {machine = machine, seat = '', fits = false, reasons = reasons, missing = missing}
end

-- Per seat of a machine from the `first` (1 ...) on, as many as one call can tell, and the next one or 0; one without a seat is told so.
-- Nil for an unknown machine.
function routing.verdicts(root, machine, parts, columns, first)
  local ord, found, tokens = routing.machine(root, machine), {}, rules.tokens(parts)
  if not ord then return nil end
  columns = columns or routing.columns_of(root, tokens)
  local seats, of = redis.call('HGETALL', root .. ':seats:' .. ord), {}
  for n = 1, #seats, 2 do of[seats[n]] = seats[n + 1] end
  for n, seat in ipairs(routing.names_of(of)) do
    if #found > 0 and routing.is_much() then return found, n end
    if n >= (first or 1) then found[#found + 1] = verdict(root, machine, ord, seat, of[seat], parts, tokens, columns) end
  end
  if #seats == 0 then found[1] = without_seat(root, machine, ord, tokens, columns) end
  return found, 0
end

function routing.verdict_json(told) return json_of(told, LISTS) end

-- The machines that lack the fewest of the tokens: {ord, number lacking}, among `most` that are looked at, fewer for many tokens.
function routing.nearest(root, tokens, limit, most, columns)
  local found = {}
  columns = columns or routing.columns_of(root, tokens)
  most = math.min(most, math.ceil(LOOKS / (#tokens + 1)))
  for _, number in ipairs((routing.members(redis.call('GET', root .. ':present') or '', most))) do
    local ord, lacks = text_of(number), 0
    for _, token in ipairs(tokens) do
      local plain = string.match(token, '^!(.+)$')
      if routing.has(columns[plain or token], number) == (plain ~= nil) then lacks = lacks + 1 end
    end
    found[#found + 1] = {ord = ord, lacking = lacks}
  end
  table.sort(found, function(one, other)
    if one.lacking ~= other.lacking then return one.lacking < other.lacking end
    return tonumber(one.ord) < tonumber(other.ord)
  end)
  for n = #found, limit + 1, -1 do found[n] = nil end
  return found
end

-- How many machines hold all but one of the models, for each of `models`; `rest` are all others that are asked for. Of the models before
-- and of those behind it the AND is known already, so that many cost little more than few.
local function without_each(root, models, rest)
  local before, target, borrowed = routing.scratch(root, 'before'), routing.scratch(root, 'each'), {}
  local behind, columns = {[#models + 1] = routing.scratch(root, 'behind0')}, routing.column_keys(root, models, borrowed)
  redis.call('BITOP', 'OR', behind[#models + 1], routing.holders(root, rest))
  redis.call('BITOP', 'OR', before, behind[#models + 1])
  for n = #models, 1, -1 do
    behind[n] = routing.scratch(root, 'behind' .. n)
    redis.call('BITOP', 'AND', behind[n], behind[n + 1], columns[n])
  end
  local numbers = {}
  for n = 1, #models do
    numbers[n] = redis.call('BITOP', 'AND', target, before, behind[n + 1]) > 0 and redis.call('BITCOUNT', target) or 0
    redis.call('BITOP', 'AND', before, before, columns[n])
  end
  redis.call('DEL', before, target, routing.scratch(root, 'holders'), routing.scratch(root, 'both'), unpack(behind))
  if #borrowed > 0 then redis.call('DEL', unpack(borrowed)) end
  return numbers
end

-- Per model, from `first` (1 ...) on, WEIGHED of them: how many machines have it, and how many could do the job if only this one were
-- not needed. And where to go on, or nil.
function routing.weighed(root, parts, first)
  local all, models, rest, seen, tokens = parts.models or {}, {}, {}, {}, rules.tokens(parts)
  for n = first, math.min(#all, first + WEIGHED - 1) do
    models[#models + 1] = all[n]
    seen[all[n]] = true
  end
  if #models == 0 then return {} end
  for _, token in ipairs(tokens) do
    if not seen[token] then rest[#rest + 1] = token end
  end
  local numbers, told = routing.aside(function() return without_each(root, models, rest) end), {}
  local machines = routing.numbers(root, models)
  for n, token in ipairs(models) do
    told[n] = {model = rules.model_of(token), machines = machines[n], without = numbers[n]}
  end
  return told, all[first + WEIGHED] and first + WEIGHED or nil
end
