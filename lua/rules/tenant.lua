-- Isolation of customers. A machine's lists hold for every job, whether the job asks for isolation or not.
-- The customer of a job is known here while some offer names it; whom nobody names is on no list.

local function list_of(value, name)
  if value == nil then return nil end
  if not routing.is_list(value) then return nil, name .. ' is no list of customers' end
  for _, each in ipairs(value) do
    if type(each) ~= 'string' then return nil, name .. ' is no list of customers' end
  end
  if #value > 256 then return nil, name .. ' has more than 256 customers' end
  return value
end

local function contains(list, customer)
  for _, each in ipairs(list or {}) do
    if each == customer then return true end
  end
  return false
end

-- 'strict', or nil; nil and why if it is unreadable.
local function level(value)
  if routing.is_any(value) or value == false or value == 'loose' or value == 'none' then return nil end
  if value == true or value == 'strict' then return 'strict' end
  return nil, 'the isolation of customers is neither strict, loose nor none'
end

rules.define{
  name = 'tenant',
  keys = {'customer_isolation'},
  offer_keys = {'customer_access', 'isolation'},
  read = function(given)
    local strict, why = level(given.customer_isolation)
    if why then return nil, why end
    if strict then return {isolation = strict} end
  end,
  offer = function(given)
    local access = given.customer_access or given.isolation
    if type(access) ~= 'table' then access = {isolation = access} end
    local mine, why = {}
    mine.isolation, why = level(access.isolation)
    if why then return nil, why end
    mine.allowed, why = list_of(access.allowed_customers, 'allowed_customers')
    if why then return nil, why end
    mine.denied, why = list_of(access.denied_customers, 'denied_customers')
    if why then return nil, why end
    if mine.allowed and #mine.allowed == 0 then mine.allowed = nil end
    return mine
  end,
  refuse = function(part, mine)
    part, mine = part or {}, mine or {}
    if part.isolation and mine.isolation ~= part.isolation then return 'it does not isolate customers strictly' end
    if mine.allowed and not contains(mine.allowed, part.customer) then return 'it serves only certain customers' end
    if contains(mine.denied, part.customer) then return 'it does not serve this customer' end
  end,
}
