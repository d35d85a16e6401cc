-- So many GB free on the machine's disk now, above the floor that downloads keep.

rules.define{
  name = 'storage',
  machine = true,
  keys = {'storage_gb', 'disk_gb'},
  offer_keys = {'storage_gb'},
  read = function(given)
    local most
    for key, value in pairs(given) do
      if not routing.is_any(value) then
        local number = routing.number(value)
        if not number then return nil, key .. ' is no number' end
        most = math.max(number, most or number)
      end
    end
    if not most or most <= 0 then return nil end
    return most
  end,
  tokens = function(part) return {'d:' .. routing.canonical(part)} end,
  offer = function(given)
    local number = routing.number(given.storage_gb)
    if not number then return nil, 'storage_gb is no number' end
    return number
  end,
  refuse = function(part, mine)
    if part and (mine or 0) < part then
      return routing.canonical(mine or 0) .. ' GB are free, wanted are ' .. routing.canonical(part)
    end
  end,
  single = function(part) return {part} end,
}
