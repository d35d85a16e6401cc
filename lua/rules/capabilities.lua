-- Whatever else a job asks for, compared by its type: a list is held whole, a number at least, an object name by name, the rest
-- equal, or among those of a list. It reads what no other rule does.

local WITHIN = {'capabilities', 'performance', 'location', 'cost', 'metadata'}

local NOTHING = {}
local FEW = 4 -- values that are looked for one by one

-- What is among a table's values, or is one of its names that is not false.
local function contents_of(have)
  local set = {}
  for key, value in pairs(have) do
    if value == value then set[value] = true end
    if type(key) == 'string' and value ~= false then set[key] = true end
  end
  return set
end

local function among(wanted, have)
  if type(have) ~= 'table' then return have == wanted end
  for key, value in pairs(have) do
    if value == wanted or (type(key) == 'string' and key == wanted and value ~= false) then return true end
  end
  return false
end

function rules.satisfies(wanted, have)
  if routing.is_any(wanted) then return true end
  if have == nil then return false end
  if type(wanted) == 'number' then
    if type(have) == 'table' then return among(wanted, have) end
    local number = routing.number(have)
    return number ~= nil and number >= wanted
  end
  if type(wanted) ~= 'table' then return among(wanted, have) end
  if routing.is_list(wanted) then
    local set = #wanted > FEW and type(have) == 'table' and contents_of(have)
    for _, each in ipairs(wanted) do
      if set and not set[each] then return false end
      if not set and not among(each, have) then return false end
    end
    return true
  end
  for name, each in pairs(wanted) do
    if type(have) ~= 'table' or not rules.satisfies(each, have[name]) then return false end
  end
  return true
end

-- What a long value begins with.
local function beginning(value)
  if type(value) ~= 'table' then return value end
  local some, number = {}, 0
  for key, each in pairs(value) do
    some[key], number = each, number + 1
    if number == 20 then return some end
  end
  return value
end

function rules.lacks(name, wanted, have)
  if have == nil then return 'it does not offer ' .. name end
  local offered, asked = routing.canonical(beginning(have)), routing.canonical(beginning(wanted))
  return name .. ' is ' .. string.sub(offered, 1, 100) .. ', wanted is ' .. string.sub(asked, 1, 100)
end

local function by_path(value, path)
  for step in string.gmatch(path, '[^.]+') do
    if type(value) ~= 'table' then return nil end
    value = value[step]
  end
  return value
end

local function found(mine, key)
  for _, name in ipairs{key, key .. 's', 'supported_' .. key .. 's'} do
    if mine[name] ~= nil then return mine[name] end
  end
  local value = string.find(key, '.', 1, true) and by_path(mine, key) or nil
  if value ~= nil then return value end
  for _, room in ipairs(WITHIN) do
    if type(mine[room]) == 'table' then
      value = mine[room][key]
      if value == nil then value = mine[room][key .. 's'] end
      if value ~= nil then return value end
    end
  end
end

local function lacks_any(part, mine)
  for key, wanted in pairs(part) do
    if not rules.satisfies(wanted, found(mine, key)) then return true end
  end
  return false
end

rules.define{
  name = 'capabilities',
  read = function(given)
    local wanted = {}
    for key, value in pairs(given) do
      if key == 'capabilities' and type(value) == 'table' and #value == 0 then
        for name, each in pairs(value) do
          if not routing.is_any(each) then wanted[name] = each end
        end
      elseif not routing.is_any(value) then
        wanted[key] = value
      end
    end
    if next(wanted) == nil then return nil end
    return wanted
  end,
  offer = function(given) return given end,
  refuse = function(part, mine, _, _, told)
    mine = mine or NOTHING
    if not told then return lacks_any(part or NOTHING, mine) end
    for _, key in ipairs(routing.names_of(part or NOTHING)) do
      local have = found(mine, key)
      if not rules.satisfies(part[key], have) then return rules.lacks(key, part[key], have) end
    end
  end,
  single = function(part)
    local parts = {}
    for _, key in ipairs(routing.names_of(part)) do parts[#parts + 1] = {[key] = part[key]} end
    return parts
  end,
}
