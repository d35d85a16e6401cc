-- Signatures: what jobs ask for, each once, in its canonical form. A job waits in the queue of its signature.
-- A signature has tokens, which machines hold, and a demand, which offers meet; demands are shared by many signatures.

local FULL = 65536 -- signatures of one pool at a time
local JUDGED, USUAL, JUDGED_BYTES = 400, 1024, 32768 -- offers that one call asks; bytes of a usual one, and of all beyond these
local MET = 64 -- offers that a new signature goes to at once
local CROWDS = 1000 -- demands of which is remembered who meets them
local FITTING, FITTED = 2000, 100000 -- signatures of which is remembered which offers declare what they ask, and all these offers
local JUDGING = 0.04 -- steps of one: more would be no little, and hundreds take long
local LOOKED_UP = 0.07 -- steps of a profile whose machines, or whose bit, are asked for
local JUDGED_AT_ONCE = '16'
local JUDGED_ANYWAY = 32 -- however long that takes: a server that stood still for a moment does not know less
local BRIEFLY = 262144 -- bytes of the signatures whose parts are remembered: who asks for one asks several times at once, and then hardly ever
local NONE = {}

-- The parts of a signature by its canonical form.
local parsed = routing.remembered(function(text) return cjson.decode(text) end, BRIEFLY)

local tokens_of = routing.remembered(function(text) return rules.tokens(parsed(text)) end, BRIEFLY)

-- What offers decide of it.
local function demanded(text) return #tokens_of(text) == 0 and text or routing.canonical(rules.demand(parsed(text))) end

function routing.parsed(text) return parsed(text) end

function routing.definition(root, sid) return redis.call('HGET', root .. ':signature', sid) or nil end

function routing.parts(root, sid)
  local text = routing.definition(root, sid)
  return text and parsed(text)
end

function routing.tokens(root, sid)
  local text = routing.definition(root, sid)
  return text and tokens_of(text)
end

-- The machines that have so much free, as a bitmap.
local function with_free(root, threshold)
  local bytes = string.format('%.17g', tonumber(threshold) * 1e9)
  return routing.bitmap(redis.call('ZRANGEBYSCORE', root .. ':disk', bytes, '+inf')), bytes
end

local function new_threshold(root, token)
  local threshold = string.match(token, '^d:(.+)$')
  if not threshold then return end
  local able, bytes = with_free(root, threshold)
  redis.call('ZADD', root .. ':thresholds', bytes, threshold)
  routing.put_bits(root .. ':col:' .. token, able)
end

local function new_absence(root, token)
  local machine = string.match(token, '^!a:(.+)$')
  local ord = machine and routing.machine(root, machine)
  if ord then redis.call('SETBIT', root .. ':col:a:' .. machine, ord, 1) end
end

-- Most new ones are held by nobody, and one look tells.
local function new_columns(root, columns)
  if #columns == 0 then return end
  local givers = {}
  for n, token in ipairs(columns) do givers[n] = root .. ':gives:' .. token end
  if redis.call('EXISTS', unpack(givers)) == 0 then return end
  for _, token in ipairs(columns) do routing.fill(root, token, root .. ':col:' .. token, true) end
end

local function use(root, sid, tokens)
  local used, counts, columns = routing.gathered('HMGET', root .. ':used', tokens), {}, {}
  for n, token in ipairs(tokens) do
    counts[2 * n - 1], counts[2 * n] = token, text_of((tonumber(used[n] or nil) or 0) + 1)
    if not used[n] then
      local plain = string.gsub(token, '^!', '')
      if string.find(plain, '^[ad]:') then new_threshold(root, plain) else columns[#columns + 1] = plain end
      new_absence(root, token)
    end
    redis.call('SETBIT', root .. ':need:' .. token, sid, 1)
  end
  new_columns(root, columns)
  in_chunks('HSET', root .. ':used', counts)
  in_chunks('SADD', root .. ':columns', columns)
end

-- Nobody names these any more; the column goes when nobody does with or without the `!`.
local function drop(root, tokens)
  in_chunks('HDEL', root .. ':used', tokens)
  local others, keys, columns = {}, {}, {}
  for n, token in ipairs(tokens) do
    others[n] = string.match(token, '^!(.+)$') or '!' .. token
    keys[n] = root .. ':need:' .. token
  end
  for n, named in ipairs(routing.gathered('HMGET', root .. ':used', others)) do
    if not named then
      local plain = string.gsub(tokens[n], '^!', '')
      columns[#columns + 1], keys[#keys + 1] = plain, root .. ':col:' .. plain
      local threshold = string.match(plain, '^d:(.+)$')
      if threshold then redis.call('ZREM', root .. ':thresholds', threshold) end
    end
  end
  in_chunks('SREM', root .. ':columns', columns)
  in_chunks('DEL', keys[1], keys)
end

local function unuse(root, sid, tokens)
  local used, counts, gone = routing.gathered('HMGET', root .. ':used', tokens), {}, {}
  for n, token in ipairs(tokens) do
    local left = (tonumber(used[n] or nil) or 1) - 1
    if left > 0 then
      counts[#counts + 1] = token
      counts[#counts + 1] = text_of(left)
      redis.call('SETBIT', root .. ':need:' .. token, sid, 0)
    else
      gone[#gone + 1] = token
    end
  end
  in_chunks('HSET', root .. ':used', counts)
  drop(root, gone)
end

local function demand_of(root, text)
  local demand = redis.call('HGET', root .. ':demands', text)
  if demand then return demand end
  demand = routing.ordinal(root, 'demand')
  redis.call('HSET', root .. ':demands', text, demand)
  redis.call('HSET', root .. ':demand', demand, text)
  routing.later(root, 'd' .. demand)
  return demand
end

local function forget_fitting(pool) pool.fitting, pool.fitting_number, pool.fitted, pool.declaring = {}, 0, 0, {} end

local function forget_crowds(pool) pool.crowds, pool.crowds_number, pool.declaring = {}, 0, {} end

-- What this server remembers of a pool (see remembering), for asking hundreds of offers takes long:
--   fitting  signature -> those profiles that declare their models and that it fits; it follows from the bitmaps `fit`
--   declaring  signature -> the machines of these profiles, as a bitmap's text
--   crowds   demand -> the machines of all profiles that meet it, the same way
local function pool_of(root)
  local pool = routing.pool_now(root)
  if not pool.fitting then
    forget_fitting(pool)
    forget_crowds(pool)
  end
  return pool
end

-- Seats, or what their offers meet, are others now. `demand`: of this one only.
function routing.crowd_changed(root, demand)
  local pool = pool_of(root)
  if demand then pool.crowds[demand] = nil else forget_crowds(pool) end
end

-- The machines of these profiles, as a bitmap's text.
local function users_of(root, profiles)
  if #profiles == 0 then return '' end
  routing.weigh(LOOKED_UP * #profiles)
  for n, profile in ipairs(profiles) do profiles[n] = root .. ':users:' .. profile end
  return routing.aside(function()
    local target = routing.scratch(root, 'users')
    routing.combine('OR', target, profiles)
    local found = redis.call('GET', target)
    redis.call('DEL', target)
    return found or ''
  end)
end

local function crowd(root, demand)
  local pool = pool_of(root)
  if pool.crowds[demand] then return pool.crowds[demand] end
  local profiles = routing.members(redis.call('GET', root .. ':meets:' .. demand) or '', 1e6)
  for n, profile in ipairs(profiles) do profiles[n] = text_of(profile) end
  local text = users_of(root, profiles)
  if pool.crowds_number >= CROWDS then forget_crowds(pool) end
  pool.crowds[demand], pool.crowds_number = text, pool.crowds_number + 1
  return text
end

local function remember_fitting(root, sid, profiles, number)
  local pool = pool_of(root)
  if pool.fitting_number >= FITTING or pool.fitted + number > FITTED then forget_fitting(pool) end
  if not pool.fitting[sid] then pool.fitting_number = pool.fitting_number + 1 end
  pool.fitting[sid], pool.fitted, pool.declaring[sid] = profiles, pool.fitted + number, nil
end

-- A profile declares what a signature asks for.
function routing.fits_by_declaration(root, profile, sid)
  if redis.call('SETBIT', root .. ':fit:' .. profile, sid, 1) == 1 then return end
  local pool = pool_of(root)
  if not pool.fitting[sid] then return end
  pool.fitting[sid][profile], pool.fitted, pool.declaring[sid] = true, pool.fitted + 1, nil
end

-- It goes, and its number may soon be another's.
function routing.declares_no_more(root, profile)
  for _, profiles in pairs(pool_of(root).fitting) do profiles[profile] = nil end
end

local function fitting(root, sid)
  local known = pool_of(root).fitting[sid]
  if known then return known end
  local found, number, declared = {}, 0, redis.call('SMEMBERS', root .. ':declared')
  routing.weigh(LOOKED_UP * #declared)
  for _, profile in ipairs(declared) do
    if redis.call('GETBIT', root .. ':fit:' .. profile, sid) == 1 then found[profile], number = true, number + 1 end
  end
  remember_fitting(root, sid, found, number)
  return found
end

local function begin(root, text)
  if redis.call('HLEN', root .. ':signatures') >= FULL then
    return nil, 'the pool has jobs of ' .. FULL .. ' different requirements already'
  end
  local sid = routing.ordinal(root, 'signature')
  local tokens = tokens_of(text)
  routing.weigh(4 + #tokens)
  routing.show(root, sid, text) -- before the others, for it can be mended
  redis.call('HSET', root .. ':signatures', text, sid)
  redis.call('HSET', root .. ':signature', sid, text)
  redis.call('SETBIT', root .. ':live', sid, 1)
  use(root, sid, tokens)
  local needy = false
  for _, token in ipairs(tokens) do needy = needy or string.sub(token, 1, 1) ~= '!' end
  if needy then redis.call('SETBIT', root .. ':needy', sid, 1) end
  local demand = demand_of(root, demanded(text))
  redis.call('HSET', root .. ':asked', sid, demand)
  redis.call('SETBIT', root .. ':asks:' .. demand, sid, 1)
  local met, more = routing.members(redis.call('GET', root .. ':meets:' .. demand) or '', MET)
  for _, profile in ipairs(met) do redis.call('SETBIT', root .. ':fit:' .. profile, sid, 1) end
  if more then routing.later(root, 'f' .. sid) end
  routing.later(root, 's' .. sid)
  remember_fitting(root, sid, {}, 0)
  return sid
end

-- The number of a signature, or nil and why when there are too many; and whether it is a new one.
function routing.signature(root, text)
  local sid, why = redis.call('HGET', root .. ':signatures', text), nil
  if sid then return sid, nil, false end
  sid, why = begin(root, text)
  return sid, why, true
end

local function same_list(one, other)
  if #one ~= #other then return false end
  for n, each in ipairs(one) do
    if other[n] ~= each then return false end
  end
  return true
end

-- Parts with the customer and the workflow of a job, as far as some offer names them, and the machines that it is kept from.
function routing.with_facets(root, parts, customer, workflow, excluded)
  customer, workflow = customer or '', workflow or ''
  local named = (customer ~= '' or workflow ~= '') and redis.call('EXISTS', root .. ':named') == 1
  local who = named and customer ~= '' and redis.call('HEXISTS', root .. ':named', 'customer ' .. customer) == 1 and customer or nil
  local what = named and workflow ~= '' and redis.call('HEXISTS', root .. ':named', 'workflow ' .. workflow) == 1 and workflow or nil
  local had = parts.tenant and parts.tenant.customer
  local same = had == who and parts.workflow == what and same_list(parts.elsewhere or NONE, excluded or NONE)
  if same then return parts end
  local changed = {}
  for name, part in pairs(parts) do changed[name] = part end
  local isolation = parts.tenant and parts.tenant.isolation
  changed.tenant = (isolation or who) and {isolation = isolation, customer = who} or nil
  changed.workflow = what
  changed.elsewhere = excluded and #excluded > 0 and excluded or nil
  return changed
end

-- One job more, or less, belongs to the signature. One that nobody needs is kept for a while.
function routing.refer(root, sid, by, now)
  local left = redis.call('HINCRBY', root .. ':refs', sid, by)
  if by > 0 and left == by then redis.call('ZREM', root .. ':spare', sid) end
  if left <= 0 then redis.call('ZADD', root .. ':spare', text_of(now / 1000), sid) end
end

local function forget_demand(root, sid)
  local demand = redis.call('HGET', root .. ':asked', sid)
  redis.call('HDEL', root .. ':asked', sid)
  if not demand then return end
  redis.call('SETBIT', root .. ':asks:' .. demand, sid, 0)
  if redis.call('BITCOUNT', root .. ':asks:' .. demand) > 0 then return end
  redis.call('HDEL', root .. ':demands', redis.call('HGET', root .. ':demand', demand) or '')
  redis.call('HDEL', root .. ':demand', demand)
  redis.call('DEL', root .. ':asks:' .. demand, root .. ':meets:' .. demand)
  routing.crowd_changed(root, demand)
  routing.give_back(root, 'demand', demand)
end

-- A signature goes. Its number is free once no row and no profile has its bit.
function routing.forget(root, sid)
  local text = routing.definition(root, sid)
  redis.call('ZREM', root .. ':spare', sid)
  redis.call('ZREM', root .. ':kept_away', sid)
  redis.call('HDEL', root .. ':refs', sid)
  redis.call('HDEL', root .. ':fetch', sid)
  redis.call('HDEL', root .. ':errands', sid)
  if not text then return end
  redis.call('HDEL', root .. ':signatures', text)
  redis.call('HDEL', root .. ':signature', sid)
  redis.call('HDEL', root .. ':shown', sid)
  redis.call('SETBIT', root .. ':live', sid, 0)
  redis.call('SETBIT', root .. ':needy', sid, 0)
  unuse(root, sid, tokens_of(text))
  forget_demand(root, sid)
  routing.later(root, 'x' .. sid)
end

local function declaring(root, sid)
  local pool = pool_of(root)
  if pool.declaring[sid] then return pool.declaring[sid] end
  local profiles = {}
  for profile in pairs(fitting(root, sid)) do profiles[#profiles + 1] = profile end
  pool.declaring[sid] = users_of(root, profiles)
  return pool.declaring[sid]
end

-- The key of a token's column. One that no signature names has none yet, and gets one for the moment.
local function column(root, token, borrowed)
  local key = root .. ':col:' .. token
  local kind, rest = string.sub(token, 1, 2), string.sub(token, 3)
  local spare = routing.scratch(root, token)
  if kind == 'd:' then
    if redis.call('ZSCORE', root .. ':thresholds', rest) then return key end
    routing.put_bits(spare, (with_free(root, rest)))
  elseif kind == 'a:' then
    if redis.call('EXISTS', key) == 1 then return key end
    routing.put_bits(spare, routing.bitmap({routing.machine(root, rest)}))
  else
    if redis.call('SISMEMBER', root .. ':columns', token) == 1 then return key end
    routing.fill(root, token, spare)
  end
  borrowed[#borrowed + 1] = spare
  return spare
end

-- The keys of many columns, in the order of their tokens; what was made for the moment is in `borrowed`.
function routing.column_keys(root, tokens, borrowed)
  local keys, known = {}, routing.gathered('SMISMEMBER', root .. ':columns', tokens)
  for n, token in ipairs(tokens) do
    keys[n] = known[n] == 1 and root .. ':col:' .. token or column(root, token, borrowed)
  end
  return keys
end

-- Of each token the machines that hold it, as a bitmap's text by token. Machines that left may still be in it.
function routing.columns(root, tokens)
  return routing.aside(function()
    local borrowed, texts = {}, {}
    for n, key in ipairs(routing.column_keys(root, tokens, borrowed)) do texts[tokens[n]] = redis.call('GET', key) or '' end
    if #borrowed > 0 then redis.call('DEL', unpack(borrowed)) end
    return texts
  end)
end

-- How many machines hold each of the tokens.
function routing.numbers(root, tokens)
  return routing.aside(function()
    local borrowed, target, numbers = {}, routing.scratch(root, 'holders'), {}
    local leaving = redis.call('EXISTS', root .. ':leaving') == 1
    for n, key in ipairs(routing.column_keys(root, tokens, borrowed)) do
      if leaving then redis.call('BITOP', 'AND', target, root .. ':present', key) end
      numbers[n] = redis.call('BITCOUNT', leaving and target or key)
    end
    redis.call('DEL', target, unpack(borrowed))
    return numbers
  end)
end

-- The bitmap of the machines that hold these tokens, in a scratch key; its name.
function routing.holders(root, tokens)
  local target, plain, denied, borrowed = routing.scratch(root, 'holders'), {}, {}, {}
  for _, token in ipairs(tokens) do
    local barred = string.match(token, '^!(.+)$')
    table.insert(barred and denied or plain, barred or token)
  end
  local columns = routing.column_keys(root, plain, borrowed)
  columns[#columns + 1] = root .. ':present'
  routing.combine('AND', target, columns)
  if #denied > 0 then
    local any = routing.scratch(root, 'denied')
    routing.combine('OR', any, routing.column_keys(root, denied, borrowed))
    routing.without(root, target, any)
    redis.call('DEL', any)
  end
  if #borrowed > 0 then redis.call('DEL', unpack(borrowed)) end
  return target
end

-- The machines that hold the tokens and are among `plain`, and those of `declared`: as a bitmap's text, and how many they are; for parts that
-- need not be a signature.
function routing.able(root, parts, tokens, plain, declared)
  return routing.aside(function()
    local target, users = routing.holders(root, tokens), routing.scratch(root, 'users')
    routing.put_bits(users, plain)
    redis.call('BITOP', 'AND', target, target, users)
    if declared ~= '' then
      routing.put_bits(users, declared)
      for _, machine in ipairs(parts.elsewhere or {}) do
        local borrowed = {}
        routing.without(root, users, column(root, 'a:' .. machine, borrowed))
        if #borrowed > 0 then redis.call('DEL', unpack(borrowed)) end
      end
      redis.call('BITOP', 'OR', target, target, users)
    end
    local text, number = redis.call('GET', target), redis.call('BITCOUNT', target)
    redis.call('DEL', target, users, routing.scratch(root, 'both'))
    return text or '', number
  end)
end

-- The same for a signature, from what is indexed; `tokens`: these in the place of its own.
function routing.able_of(root, sid, tokens)
  local demand = redis.call('HGET', root .. ':asked', sid)
  if not demand then return '', 0 end
  local plain, declared, text = crowd(root, demand), declaring(root, sid), routing.definition(root, sid)
  return routing.able(root, parsed(text), tokens or tokens_of(text), plain, declared)
end

-- The same for any parts, by the rules themselves. Of a pool with more offers than one call can judge, or larger ones, at least so many;
-- the third answer is whether it was the whole pool.
function routing.able_to(root, parts)
  local plain, declared, cursor, judged, bytes = {}, {}, '0', 0, 0
  repeat
    local page = redis.call('HSCAN', root .. ':profile', cursor, 'COUNT', JUDGED_AT_ONCE)
    local texts = page[2]
    for at = 1, #texts, 2 do
      local offer = routing.offer_of(texts[at + 1])
      bytes = bytes + math.max(0, #texts[at + 1] - USUAL)
      if rules.fits(parts, offer) then table.insert(offer.models and declared or plain, texts[at]) end
    end
    cursor, judged = page[1], judged + #texts / 2
    routing.weigh(JUDGING * #texts / 2)
  until cursor == '0' or judged >= JUDGED or bytes > JUDGED_BYTES or judged >= JUDGED_ANYWAY and routing.is_much()
  routing.weigh(bytes / 512)
  local text, number = routing.able(root, parts, rules.tokens(parts), users_of(root, plain), users_of(root, declared))
  return text, number, cursor == '0'
end

function routing.number_able_of(root, sid)
  local _, number = routing.able_of(root, sid)
  return number
end

-- How many, and whether these are all.
function routing.number_able_to(root, parts)
  local _, number, whole = routing.able_to(root, parts)
  return number, whole
end
