-- Reading what clients send: bounded and typed. What cannot be read is a reason, never an error and never a match.

local MAX_DEPTH, MAX_STRING = 8, 1024
local REQUIREMENT = {bytes = 8192, values = 256} -- read in a call that others wait for
local OFFER = {bytes = 16384, values = 600} -- of the fleet's workers, with the models that they declare
local MEMO, LONGEST = 2097152, 16384 -- bytes of texts that are remembered, twice, and of one; the same text always means the same
local ENTRY = 100 -- bytes that an entry counts at least
local OFTEN = 4096 -- texts of one kind that come often

-- A function of one text, or nil, whose good answers are remembered: of texts that come again and again.
function routing.often(compute)
  local known, number = {}, 0
  return function(text)
    local found = known[text]
    if found then return found end
    found = compute(text)
    if not found then return nil end
    if number >= OFTEN then known, number = {}, 0 end
    known[text], number = found, number + 1
    return found
  end
end

-- Whether it is an id of ours: short, and on one line.
function routing.is_word(text)
  return type(text) == 'string' and #text >= 1 and #text <= 200 and not string.find(text, '%c')
end

routing.is_worker = routing.often(routing.is_word)

routing.is_machine = routing.often(function(text) return routing.is_word(text) and not string.find(text, '[:.]') end)

local number_in = routing.often(function(text)
  return type(text) == 'string' and #text <= 15 and string.find(text, '^%-?%d+$') and tonumber(text)
end)

-- A whole number within limits, or nil.
function routing.whole(text, low, high)
  local number = number_in(text)
  if not number or number < low or number > high then return nil end
  return number
end

-- A finite number, also written as text, or nil.
function routing.number(value)
  if type(value) == 'string' then
    if #value > 32 or not string.match(value, '^%s*%-?[%d.]+%s*$') then return nil end
    value = tonumber(value)
  end
  if type(value) ~= 'number' or value ~= value or value >= 1e15 or value <= -1e15 then return nil end
  return value
end

-- Whether a value asks for nothing.
function routing.is_any(value) return value == nil or value == 'all' or value == 'any' end

function routing.is_list(value) return type(value) == 'table' and (#value > 0 or next(value) == nil) end

local function cleaned(value, depth, left)
  left.values = left.values - 1
  if left.values < 0 then return nil, 'it has more than ' .. left.most .. ' values' end
  local kind = type(value)
  if kind == 'string' then
    if #value > MAX_STRING then return nil, 'a string in it is longer than ' .. MAX_STRING .. ' bytes' end
    return value
  end
  if kind == 'number' then
    if not routing.number(value) then return nil, 'a number in it is none' end
    return value
  end
  if kind ~= 'table' then return value end
  if depth == 0 then return nil, 'it is nested deeper than ' .. MAX_DEPTH .. ' levels' end
  local copy = {}
  local list = #value > 0
  for name, each in pairs(value) do
    if each == cjson.null then
      if list then return nil, 'a list in it holds null' end
    else
      local clean, why = cleaned(each, depth - 1, left)
      if why then return nil, why end
      if list then copy[#copy + 1] = clean else
        if #name > MAX_STRING then return nil, 'a name in it is longer than ' .. MAX_STRING .. ' bytes' end
        copy[name] = clean
      end
    end
  end
  return copy
end

-- The object that a JSON text means, without its nulls; or nil and why it cannot be read. `is_offer`: it may be longer.
function routing.object(text, is_offer)
  local most = is_offer and OFFER or REQUIREMENT
  if type(text) ~= 'string' then return nil, 'it is missing' end
  if text == '' then return {} end
  if #text > most.bytes then return nil, 'it is longer than ' .. most.bytes .. ' bytes' end
  if not string.find(text, '^%s*{') then return nil, 'it is no JSON object' end
  local readable, value = pcall(cjson.decode, text)
  if not readable or type(value) ~= 'table' then return nil, 'it is no readable JSON' end
  local clean, why = cleaned(value, MAX_DEPTH, {values = most.values, most = most.values})
  if why then return nil, why end
  for _, name in ipairs{'models', 'model'} do -- an object of nothing but nulls must not become an empty list of models
    local raw = value[name]
    if type(raw) == 'table' and #raw == 0 and next(raw) ~= nil and next(clean[name]) == nil then clean[name] = false end
  end
  return clean
end

local function number_text(value)
  if value == math.floor(value) then return string.format('%.0f', value) end
  return string.format('%.17g', value)
end

local function all_text(values)
  for _, each in ipairs(values) do
    if type(each) ~= 'string' then return false end
  end
  return true
end

-- JSON with sorted names: equal values have equal texts. An empty table is written as an object.
function routing.canonical(value)
  local kind = type(value)
  if kind == 'number' then return number_text(value) end
  if kind ~= 'table' then return cjson.encode(value) end
  local parts = {}
  if #value > 0 then
    if all_text(value) then return cjson.encode(value) end
    for n, each in ipairs(value) do parts[n] = routing.canonical(each) end
    return '[' .. table.concat(parts, ',') .. ']'
  end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for n, name in ipairs(names) do
    local each = value[name]
    parts[n] = cjson.encode(name) .. ':' .. (type(each) == 'string' and cjson.encode(each) or routing.canonical(each))
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- A JSON list, also of nothing.
function routing.list_json(values)
  if #values == 0 then return '[]' end
  return routing.canonical(values)
end

-- A function of one text, remembered: what was asked lately, and what was asked before that, each for so many `bytes` of texts. Its results must
-- not be changed.
function routing.remembered(compute, bytes)
  local known, before, size = {}, {}, 0
  return function(text)
    local found = known[text]
    if found then return found end
    found = before[text] or compute(text)
    if #text <= LONGEST then
      if size >= (bytes or MEMO) then known, before, size = {}, known, 0 end
      known[text], size = found, size + #text + (type(found) == 'string' and #found or 0) + ENTRY
    end
    return found
  end
end

-- The sorted names of a table.
function routing.names_of(value)
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local now -- of this call, in us since 1970

function routing.begin_call() now = nil end

function routing.now()
  if now then return now end
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1e6 + tonumber(time[2])
  return now
end

function routing.bad(why) return {'BAD', why} end
