-- At least so much memory on the GPU, memory and processors. Other names below `hardware` are compared like capabilities.

local AT_LEAST = {gpu_memory_gb = 'gpu_memory_gb', gpu_memory = 'gpu_memory_gb', ram_gb = 'ram_gb', cpu_cores = 'cpu_cores'}

local NOTHING = {}

local function take(wanted, key, value)
  if routing.is_any(value) then return nil end
  local name = AT_LEAST[key]
  if not name then
    wanted[key] = value
    return nil
  end
  local number = routing.number(value)
  if not number then return key .. ' is no number' end
  wanted[name] = math.max(number, wanted[name] or number)
end

local function is_lacking(key, wanted, have)
  if AT_LEAST[key] then return have == nil or have < wanted end
  return not rules.satisfies(wanted, have)
end

local function lacks_any(part, mine)
  for key, wanted in pairs(part) do
    if is_lacking(key, wanted, mine[key]) then return true end
  end
  return false
end

local function lacks(key, wanted, have)
  if not is_lacking(key, wanted, have) then return nil end
  if not AT_LEAST[key] then return rules.lacks('hardware.' .. key, wanted, have) end
  if have == nil then return 'it does not say how much ' .. key .. ' it has' end
  return key .. ' is ' .. routing.canonical(have) .. ', wanted is ' .. routing.canonical(wanted)
end

rules.define{
  name = 'hardware',
  keys = {'gpu_memory_gb', 'gpu_memory', 'ram_gb', 'cpu_cores', 'hardware'},
  offer_keys = {'gpu_memory_gb', 'gpu_memory', 'ram_gb', 'cpu_cores', 'hardware'},
  read = function(given)
    local wanted = {}
    for key, value in pairs(given) do
      if key == 'hardware' then
        if not routing.is_any(value) and (type(value) ~= 'table' or #value > 0) then return nil, 'hardware is no object' end
        for name, each in pairs(type(value) == 'table' and value or {}) do
          local why = take(wanted, name, each)
          if why then return nil, why end
        end
      else
        local why = take(wanted, key, value)
        if why then return nil, why end
      end
    end
    if next(wanted) == nil then return nil end
    return wanted
  end,
  offer = function(given)
    local mine = {}
    for key, value in pairs(given) do
      if key ~= 'hardware' then mine[AT_LEAST[key]] = routing.number(value) end
    end
    if given.hardware ~= nil and type(given.hardware) ~= 'table' then return nil, 'hardware is no object' end
    for key, value in pairs(given.hardware or {}) do
      local name = AT_LEAST[key]
      if name then mine[name] = routing.number(value) else mine[key] = value end
    end
    return mine
  end,
  refuse = function(part, mine, _, _, told)
    mine = mine or NOTHING
    if not told then return lacks_any(part or NOTHING, mine) end
    for _, key in ipairs(routing.names_of(part or NOTHING)) do
      local why = lacks(key, part[key], mine[key])
      if why then return why end
    end
  end,
  single = function(part)
    local parts = {}
    for _, key in ipairs(routing.names_of(part)) do parts[#parts + 1] = {[key] = part[key]} end
    return parts
  end,
}
