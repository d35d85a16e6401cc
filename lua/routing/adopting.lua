-- Inventories that come in parts. What mm_stage brings of a machine's models lies in `telling`, and counts from mm_adopt on: the task t
-- compares it with what the machine holds, a page at a time, and leaves the difference for the task m. Until that is done the machine
-- claims nothing.
--   :staged         machine -> token and number of the parts that came
--   :telling:{ord}  stored model -> how many verified files of it
--   :comparing      machine -> phase and cursor: c (what was still put off goes), h (what was told), s (what is held), d (telling goes)

local PAGE = 500 -- fields of a large hash that go at a time
local SMALL = 1000 -- fields of one that goes at once
local NEXT = {c = 'h', h = 's', s = 'd'}

local function telling(root, ord) return root .. ':telling:' .. ord end

local function coming(root, ord) return root .. ':coming:' .. ord end

-- A hash goes, some of it at a time. Whether it is gone.
function routing.cleared(key)
  if redis.call('HLEN', key) > SMALL then
    in_chunks('HDEL', key, redis.call('HRANDFIELD', key, text_of(PAGE)))
    return false
  end
  redis.call('DEL', key)
  return true
end

-- Begins anew. False while what was staged before is not gone: call again.
function routing.begin_stage(root, machine, token)
  local ord = routing.machine_or_new(root, machine)
  redis.call('HDEL', root .. ':staged', ord)
  redis.call('HDEL', root .. ':comparing', ord)
  redis.call('HDEL', root .. ':at', ord)
  redis.call('HDEL', root .. ':told', ord)
  routing.turned(root)
  if not routing.cleared(telling(root, ord)) then return false end
  redis.call('HSET', root .. ':staged', ord, token .. ' 0')
  return true
end

-- Where a machine's staging stands: its number and the parts that came. Nil for another token.
function routing.staged(root, machine, token)
  local ord = routing.machine(root, machine)
  local found, parts = string.match(ord and redis.call('HGET', root .. ':staged', ord) or '', '^(%S+) (%d+)$')
  if found ~= token then return nil end
  return ord, tonumber(parts)
end

-- A part came: verified files by their stored models.
function routing.stage(root, ord, token, part, models)
  for model, number in pairs(models) do redis.call('HINCRBY', telling(root, ord), model, text_of(number)) end
  redis.call('HSET', root .. ':staged', ord, token .. ' ' .. text_of(part))
end

-- What was staged counts from now on.
function routing.adopt_staged(root, ord, event)
  redis.call('HDEL', root .. ':staged', ord)
  redis.call('HSET', root .. ':comparing', ord, 'c 0')
  redis.call('HSET', root .. ':told', ord, event.epoch .. ' ' .. event.seq)
  redis.call('HDEL', root .. ':at', ord)
  routing.later(root, 't' .. ord)
end

function routing.is_comparing(root, ord) return redis.call('HEXISTS', root .. ':comparing', ord) == 1 end

-- How many files of these models the machine holds, as far as that is indexed.
local function held(root, ord, models)
  local numbers, found = routing.gathered('HMGET', root .. ':models', models), {}
  for n = 1, #models do numbers[n] = numbers[n] or '' end
  local has = routing.gathered('SMISMEMBER', root .. ':holds:' .. ord, numbers)
  local spare = routing.gathered('HMGET', root .. ':copies:' .. ord, numbers)
  for n = 1, #models do found[n] = has[n] == 1 and 1 + tonumber(spare[n] or '0') or 0 end
  return found
end

-- `counts`: how many there are to be. What is missing, or too much, is put off.
local function differ(root, ord, models, counts)
  local have, more, same = held(root, ord, models), {}, {}
  for n, model in ipairs(models) do
    if counts[n] == have[n] then
      same[#same + 1] = model
    else
      more[#more + 1] = model
      more[#more + 1] = text_of(counts[n] - have[n])
    end
  end
  in_chunks('HSET', coming(root, ord), more)
  in_chunks('HDEL', coming(root, ord), same)
end

local doing = {}

function doing.c(root, ord) return routing.cleared(coming(root, ord)) and '0' or '1' end

function doing.h(root, ord, cursor, most)
  local page = redis.call('HSCAN', telling(root, ord), cursor, 'COUNT', most)
  local models, counts = {}, {}
  for n = 1, #page[2], 2 do models[#models + 1], counts[#counts + 1] = page[2][n], tonumber(page[2][n + 1]) end
  differ(root, ord, models, counts)
  return page[1], #models
end

function doing.s(root, ord, cursor, most)
  local page = redis.call('SSCAN', root .. ':holds:' .. ord, cursor, 'COUNT', most)
  local models, gone, none = {}, {}, {}
  for _, model in ipairs(routing.gathered('HMGET', root .. ':model', page[2])) do
    if model then models[#models + 1] = model end
  end
  for n, told in ipairs(routing.gathered('HMGET', telling(root, ord), models)) do
    if not told then gone[#gone + 1], none[#none + 1] = models[n], 0 end
  end
  differ(root, ord, gone, none)
  return page[1], #models
end

function doing.d(root, ord) return routing.cleared(telling(root, ord)) and '0' or '1' end

local function compared(root, ord)
  redis.call('HDEL', root .. ':comparing', ord)
  if redis.call('EXISTS', coming(root, ord)) == 1 then return routing.later(root, 'm' .. ord) end
  routing.arrived(root, ord)
end

-- The task. Nil when it is done, and how many steps it took.
function routing.compare(root, ord, steps)
  local phase, cursor = string.match(redis.call('HGET', root .. ':comparing', ord) or '', '^(%l) (%d+)$')
  if not phase then return nil, 1 end
  local most = math.max(10, math.min(steps, 25))
  local go_on, taken = doing[phase](root, ord, cursor, most)
  if go_on == '0' then phase = NEXT[phase] end
  if phase then
    redis.call('HSET', root .. ':comparing', ord, phase .. ' ' .. go_on)
    return 1, 1 + (taken or 20)
  end
  compared(root, ord)
  return nil, 1
end

-- Changes that are told meanwhile.
function routing.move_meanwhile(root, ord, moved)
  local phase = string.sub(redis.call('HGET', root .. ':comparing', ord), 1, 1)
  local models, counts = {}, {}
  for model, by in pairs(moved) do
    if phase == 'd' then
      redis.call('HINCRBY', coming(root, ord), model, text_of(by))
    else
      models[#models + 1] = model
      counts[#counts + 1] = redis.call('HINCRBY', telling(root, ord), model, text_of(by))
    end
  end
  differ(root, ord, models, counts)
end
