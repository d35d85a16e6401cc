-- What machines hold. A model, `folder/name` and its digest, has a number and a bitmap of the machines that hold it (held).
-- A token that some signature names has a column: the machines that hold a model which gives it. Others have none until then.

local AT_ONCE = 50 -- models that one call takes up; more are a task
local PIECE = 8 -- models that a task takes up before it looks at the time
local COST = 2 -- steps of a model
local BRIEFLY = 131072 -- bytes of the models whose tokens are remembered, twice

local tokens_of = routing.remembered(function(model) return rules.tokens_of(model) end, BRIEFLY)

local function begin(root, model)
  local number = routing.ordinal(root, 'model')
  redis.call('HSET', root .. ':models', model, number)
  redis.call('HSET', root .. ':model', number, model)
  for _, token in ipairs(tokens_of(model)) do redis.call('SADD', root .. ':gives:' .. token, number) end
  return number
end

local function forget(root, model, number)
  redis.call('HDEL', root .. ':models', model)
  redis.call('HDEL', root .. ':model', number)
  redis.call('DEL', root .. ':held:' .. number)
  for _, token in ipairs(tokens_of(model)) do redis.call('SREM', root .. ':gives:' .. token, number) end
  routing.give_back(root, 'model', number)
end

-- Tokens of these models that have a column.
local function with_column(root, models)
  local tokens, seen = {}, {}
  for _, model in ipairs(models) do
    for _, token in ipairs(tokens_of(model)) do
      if not seen[token] then tokens[#tokens + 1] = token end
      seen[token] = true
    end
  end
  local found = {}
  for n, has in ipairs(routing.gathered('SMISMEMBER', root .. ':columns', tokens)) do
    if has == 1 then found[#found + 1] = tokens[n] end
  end
  return found
end

local function gain(root, ord, models, moved, gained)
  local numbers = routing.gathered('HMGET', root .. ':models', models)
  for n, model in ipairs(models) do numbers[n] = numbers[n] or begin(root, model) end
  local had, new, fresh = routing.gathered('SMISMEMBER', root .. ':holds:' .. ord, numbers), {}, {}
  for n, model in ipairs(models) do
    local by = moved[model]
    if had[n] == 0 then
      new[#new + 1], fresh[#fresh + 1], by = numbers[n], model, by - 1
      redis.call('SETBIT', root .. ':held:' .. numbers[n], ord, 1)
    end
    if by > 0 then redis.call('HINCRBY', root .. ':copies:' .. ord, numbers[n], by) end
  end
  in_chunks('SADD', root .. ':holds:' .. ord, new)
  for _, token in ipairs(with_column(root, fresh)) do
    if redis.call('SETBIT', root .. ':col:' .. token, ord, 1) == 0 then gained[token] = true end
  end
end

local function still_held(root, ord, token)
  local givers = redis.call('SMEMBERS', root .. ':gives:' .. token)
  for _, found in ipairs(routing.gathered('SMISMEMBER', root .. ':holds:' .. ord, givers)) do
    if found == 1 then return true end
  end
  return false
end

-- One file or several of a model less. Whether the machine holds it no more.
local function fewer(root, ord, number, by)
  local copies = root .. ':copies:' .. ord
  local spare = tonumber(redis.call('HGET', copies, number) or '0')
  if spare > by then
    redis.call('HINCRBY', copies, number, -by)
    return false
  end
  if spare > 0 then redis.call('HDEL', copies, number) end
  return spare < by and redis.call('SREM', root .. ':holds:' .. ord, number) == 1
end

local function lose(root, ord, models, moved, lost)
  local gone, known = {}, routing.gathered('HMGET', root .. ':models', models)
  local number_of = {}
  for n, model in ipairs(models) do
    if known[n] and fewer(root, ord, known[n], -moved[model]) then
      gone[#gone + 1], number_of[model] = model, known[n]
      redis.call('SETBIT', root .. ':held:' .. known[n], ord, 0)
    end
  end
  for _, token in ipairs(with_column(root, gone)) do
    if not still_held(root, ord, token) then
      redis.call('SETBIT', root .. ':col:' .. token, ord, 0)
      lost[token] = true
    end
  end
  for _, model in ipairs(gone) do
    if redis.call('BITPOS', root .. ':held:' .. number_of[model], 1) == -1 then forget(root, model, number_of[model]) end
  end
end

-- First what comes, so that a token which another model gives now is never lost.
local function apply(root, ord, moved)
  local up, down, gained, lost = {}, {}, {}, {}
  for model, by in pairs(moved) do
    if by > 0 then up[#up + 1] = model elseif by < 0 then down[#down + 1] = model end
  end
  if #up > 0 then gain(root, ord, up, moved, gained) end
  if #down > 0 then lose(root, ord, down, moved, lost) end
  for token in pairs(lost) do gained[token] = nil end
  return gained, lost
end

local function coming(root, ord) return root .. ':coming:' .. ord end

-- Kept for a task: model -> how many files more or less.
local function put_off(root, ord, moved)
  local key = coming(root, ord)
  if redis.call('EXISTS', key) == 0 then
    local flat = {}
    for model, by in pairs(moved) do
      flat[#flat + 1] = model
      flat[#flat + 1] = text_of(by)
    end
    in_chunks('HSET', key, flat)
    return routing.later(root, 'm' .. ord)
  end
  for model, by in pairs(moved) do redis.call('HINCRBY', key, model, text_of(by)) end
end

-- `moved`: stored model -> how many verified files of it the machine has more, or less. What is too much for one call goes on
-- in later ones; until then the machine is not marked, and claims nothing.
function routing.move(root, ord, moved)
  if routing.is_comparing(root, ord) then return routing.move_meanwhile(root, ord, moved) end
  local number = 0
  for model, by in pairs(moved) do
    if by ~= 0 then number = number + 1 end
  end
  if number > AT_ONCE or redis.call('EXISTS', coming(root, ord)) == 1 then return put_off(root, ord, moved) end
  local gained, lost = apply(root, ord, moved)
  routing.follow(root, ord, gained, lost)
end

-- The machine is gone, and with it, some at a time, what it held; then its number is free.
local function clear(root, ord, steps)
  local numbers = redis.call('SRANDMEMBER', root .. ':holds:' .. ord, math.max(1, math.min(math.floor(steps / COST), PIECE)))
  local moved, models = {}, {}
  for _, model in ipairs(routing.gathered('HMGET', root .. ':model', numbers)) do
    if model then models[#models + 1], moved[model] = model, -1e9 end
  end
  if #numbers > 0 then
    lose(root, ord, models, moved, {})
    if redis.call('EXISTS', root .. ':holds:' .. ord) == 1 and #models > 0 then return 1, COST * #numbers end
  end
  if not (routing.cleared(root .. ':telling:' .. ord) and routing.cleared(coming(root, ord))) then return 1, 20 end
  redis.call('DEL', root .. ':holds:' .. ord, root .. ':copies:' .. ord)
  redis.call('HDEL', root .. ':leaving', ord)
  routing.give_back(root, 'machine', ord)
  return nil, COST * #numbers + 1
end

function routing.arrived(root, ord)
  local at = redis.call('HGET', root .. ':told', ord)
  redis.call('HDEL', root .. ':told', ord)
  if at then redis.call('HSET', root .. ':at', ord, at) end
  routing.wake(root, ord)
end

-- The task: what was put off, or what a machine that is gone has left behind.
function routing.carry_on(root, ord, steps)
  if redis.call('HEXISTS', root .. ':leaving', ord) == 1 then return clear(root, ord, steps) end
  local key, moved, taken = coming(root, ord), {}, {}
  local page = redis.call('HRANDFIELD', key, math.max(1, math.min(math.floor(steps / COST), PIECE)), 'WITHVALUES')
  for n = 1, #page, 2 do moved[page[n]], taken[#taken + 1] = tonumber(page[n + 1]), page[n] end
  in_chunks('HDEL', key, taken)
  local gained, lost = apply(root, ord, moved)
  routing.follow(root, ord, gained, lost)
  if redis.call('EXISTS', key) == 1 then return 1, COST * #taken end
  if not routing.is_comparing(root, ord) then routing.arrived(root, ord) end
  return nil, COST * #taken + 1
end

-- What the machine holds as far as we know: stored model -> number of files.
local function held(root, ord)
  local numbers, known, spare = redis.call('SMEMBERS', root .. ':holds:' .. ord), {}, {}
  local copies = redis.call('HGETALL', root .. ':copies:' .. ord)
  for n = 1, #copies, 2 do spare[copies[n]] = tonumber(copies[n + 1]) end
  for n, model in ipairs(routing.gathered('HMGET', root .. ':model', numbers)) do
    if model then known[model] = 1 + (spare[numbers[n]] or 0) end
  end
  local more = redis.call('HGETALL', coming(root, ord))
  for n = 1, #more, 2 do known[more[n]] = (known[more[n]] or 0) + tonumber(more[n + 1]) end
  return known
end

-- The machine holds exactly `counts` (stored model -> number of files).
function routing.replace(root, ord, counts)
  local moved = {}
  for model, number in pairs(held(root, ord)) do moved[model] = -number end
  for model, number in pairs(counts) do moved[model] = (moved[model] or 0) + number end
  routing.move(root, ord, moved)
end

-- Up to where its inventory is in here: "epoch seq". What is still put off is not in here.
function routing.mark(root, ord, epoch, seq)
  local whole = redis.call('EXISTS', coming(root, ord)) == 0 and not routing.is_comparing(root, ord)
  redis.call('HSET', root .. (whole and ':at' or ':told'), ord, epoch .. ' ' .. seq)
  redis.call('HDEL', root .. (whole and ':told' or ':at'), ord)
end

-- Whether its inventory is in here, or will be without a word of its agent.
function routing.marked(root, machine, epoch, seq)
  local ord = routing.machine(root, machine)
  if not ord then return false end
  local at = redis.call('HGET', root .. ':at', ord) or redis.call('HGET', root .. ':told', ord)
  return at == text_of(epoch) .. ' ' .. text_of(seq)
end

-- The machines that hold a model which gives the token, as a bitmap at `target`.
function routing.fill(root, token, target, is_new)
  local keys = {}
  for n, number in ipairs(redis.call('SMEMBERS', root .. ':gives:' .. token)) do keys[n] = root .. ':held:' .. number end
  if #keys > 0 then routing.combine('OR', target, keys) elseif not is_new then redis.call('DEL', target) end
end
