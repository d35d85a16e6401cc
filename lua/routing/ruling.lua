-- How rules work together. Each stands in a file of lua/rules; its place in this list is the order of the reasons.
--
-- rules.define{
--   name         what its part of a requirement and of an offer is called
--   keys         names in a requirement that it reads; one rule, the last, has none and reads whatever is left
--   read(given)  those names with their values -> its part (nil: nothing is asked), or nil and why it is unreadable
--   offer_keys, offer(given)  the same for an offer
--   refuse(part, mine, offer, parts, told)  why a machine that offers `mine` cannot do it, or nil; part is nil where nothing is asked;
--                unless it is `told` to people, true will do. Of part and mine one at least is there
--   single(part) a list of parts that ask for one thing each; a machine that fits one of them is refused when they stand
--                below negative_requirements. Without it the rule cannot be negated.
--   machine      true: the machine's files and disk decide, not its offer, unless the offer declares them
-- }

local IGNORED = {timeout_minutes = true, priority = true, negative_requirements = true, positive_requirements = true}
local MOST_TOKENS = 64 -- of one requirement, wanted or not
local READ = 4194304 -- bytes of requirements and of their canonical texts that are remembered, twice: some 10,000 of either
local NOTHING = {}
local UNOFFERED = {worker_id = true, machine_id = true}

rules.list, rules.by_name, rules.owner, rules.offering = {}, {}, {}, {}

function rules.define(rule)
  rules.list[#rules.list + 1] = rule
  rules.by_name[rule.name] = rule
  local keys, offered = rule.keys or {}, rule.offer_keys or {}
  for n = 1, #keys do rules.owner[keys[n]] = rule.name end
  for n = 1, #offered do rules.offering[offered[n]] = rule.name end
end

local function sorted_out(given, owner, ignored)
  local shares = {}
  for key, value in pairs(given) do
    if not ignored[key] then
      local name = owner[key] or 'capabilities'
      shares[name] = shares[name] or {}
      shares[name][key] = value
    end
  end
  return shares
end

local function parts_of(given)
  local shares, parts = sorted_out(given, rules.owner, IGNORED), {}
  for _, rule in ipairs(rules.list) do
    if shares[rule.name] then
      local part, why = rule.read(shares[rule.name])
      if why then return nil, why end
      parts[rule.name] = part
    end
  end
  return parts
end

local function negated(given)
  if type(given) ~= 'table' or #given > 0 then return nil, 'negative_requirements is no object' end
  local parts, why = parts_of(given)
  if why then return nil, 'negative_requirements: ' .. why end
  for name in pairs(parts) do
    if not rules.by_name[name].single then return nil, 'negative_requirements cannot hold what ' .. name .. ' reads' end
  end
  if next(parts) == nil then return nil end
  return parts
end

local function read(text)
  local given, why = routing.object(text)
  if not given then return nil, 'the requirements: ' .. why end
  local positive = given.positive_requirements or given
  if type(positive) ~= 'table' or #positive > 0 then return nil, 'positive_requirements is no object' end
  local parts
  parts, why = parts_of(positive)
  if why then return nil, why end
  if given.negative_requirements ~= nil then
    parts.no, why = negated(given.negative_requirements)
    if why then return nil, why end
  end
  if #rules.tokens(parts) > MOST_TOKENS then return nil, 'it names more than ' .. MOST_TOKENS .. ' models, those with a digest twice' end
  return parts
end

-- The canonical text, for that is less to keep in mind than parts; or a table with why it cannot be read.
local canonical = routing.remembered(function(text)
  local parts, why = read(text)
  return parts and routing.canonical(parts) or {why = why}
end, READ)

-- What a requirement asks: rule name -> part, and under `no` what a machine must not have; and its canonical text. Nil and why if unreadable.
function rules.read(text)
  local found = canonical(text)
  if type(found) == 'table' then return nil, found.why end
  return routing.parsed(found), found
end

-- What an offer offers: rule name -> what is offered. Nil and why if unreadable.
function rules.read_offer(text)
  local given, why = routing.object(text, true)
  if not given then return nil, 'the offer: ' .. why end
  return rules.offered(given)
end

-- The same of what was read already.
function rules.offered(given)
  local shares, offer = sorted_out(given, rules.offering, UNOFFERED), {}
  for _, rule in ipairs(rules.list) do
    if shares[rule.name] then
      local why
      offer[rule.name], why = rule.offer(shares[rule.name])
      if why then return nil, why end
    end
  end
  return offer
end

local function weighs(rule, offer)
  if not rule.machine then return true end
  return offer.models ~= nil
end

-- Whether one rule has something against an offer; what it is is added to `found`, if given. Where neither side says anything no rule refuses.
local function refused_by(rule, parts, offer, found)
  local name = rule.name
  local part, mine, unwanted = parts[name], offer[name], parts.no and parts.no[name]
  if part ~= nil or mine ~= nil then
    local why = rule.refuse(part, mine, offer, parts, found ~= nil)
    if why and not found then return true end
    if why then found[#found + 1] = {rule = name, why = why} end
  end
  for _, single in ipairs(unwanted and rule.single(unwanted) or NOTHING) do
    if not rule.refuse(single, mine, offer, parts) then
      if not found then return true end
      found[#found + 1] = {rule = name, why = 'it has what is not wanted: ' .. routing.canonical(single)}
    end
  end
  return false
end

-- Why an offer cannot serve these parts: a list of {rule, why}.
function rules.refusals(parts, offer)
  local found = {}
  for _, rule in ipairs(rules.list) do
    if weighs(rule, offer) then refused_by(rule, parts, offer, found) end
  end
  return found
end

-- Whether an offer can serve these parts.
function rules.fits(parts, offer)
  for _, rule in ipairs(rules.list) do
    if weighs(rule, offer) and refused_by(rule, parts, offer) then return false end
  end
  return true
end

-- The parts that offers decide, as they are stored.
function rules.demand(parts)
  local asked = {}
  for name, part in pairs(parts) do
    if name ~= 'no' and not rules.by_name[name].machine then asked[name] = part end
  end
  for name, part in pairs(parts.no or NOTHING) do
    if not rules.by_name[name].machine then
      asked.no = asked.no or {}
      asked.no[name] = part
    end
  end
  return asked
end

-- The tokens that a machine itself must hold ('!': must not).
function rules.tokens(parts)
  local tokens, unwanted = {}, parts.no or NOTHING
  for _, rule in ipairs(rules.list) do
    if rule.machine then
      for _, token in ipairs(parts[rule.name] and rule.tokens(parts[rule.name]) or NOTHING) do tokens[#tokens + 1] = token end
      for _, token in ipairs(unwanted[rule.name] and rule.tokens(unwanted[rule.name]) or NOTHING) do tokens[#tokens + 1] = '!' .. token end
    end
  end
  return tokens
end
