-- The machine runs the service. A job may name it in several ways; then all of them must be offered.

rules.define{
  name = 'service',
  keys = {'service', 'service_type', 'service_required'},
  offer_keys = {'services', 'job_service_required_map'},
  read = function(given)
    local wanted = {}
    for _, key in ipairs(routing.names_of(given)) do
      local value = given[key]
      if not routing.is_any(value) then
        if type(value) ~= 'string' or value == '' then return nil, key .. ' is no name of a service' end
        wanted[value] = true
      end
    end
    if next(wanted) == nil then return nil end
    return routing.names_of(wanted)
  end,
  offer = function(given)
    local services, offered = given.job_service_required_map or given.services, {}
    if type(services) ~= 'table' then return nil, 'the services are no list of names' end
    for key, value in pairs(services) do
      local name = type(key) == 'string' and key or value
      if type(name) ~= 'string' then return nil, 'the services are no list of names' end
      offered[name] = true
    end
    return routing.names_of(offered)
  end,
  refuse = function(part, mine)
    for _, name in ipairs(part or {}) do
      local offered = false
      for _, each in ipairs(mine or {}) do offered = offered or each == name end
      if not offered then return "it does not run '" .. name .. "'" end
    end
  end,
  single = function(part)
    local parts = {}
    for n, name in ipairs(part) do parts[n] = {name} end
    return parts
  end,
}
