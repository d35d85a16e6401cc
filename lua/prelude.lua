-- Shared by every function of this library.
-- At load time a server offers nothing but redis.register_function, so everything else is looked up when it is called.
-- Convention: a function first reads and decides, then writes; whoever returns early has changed nothing.

local routing, rules = {}, {} -- what lua/routing and lua/rules share

local CHUNK = 500 -- values per unpack; Lua refuses about 8,000
local EXPIRED_PER_CALL = '2000'
local TOMBSTONE_MS = '86400000'

-- What the server offers, with a place to listen in. It is taken over when a function is called for the first time.
local function server() return redis end
local redis = {}

local function take_over()
  for name, value in pairs(server()) do redis[name] = value end
  for _, name in ipairs{'call', 'pcall', 'error_reply'} do redis[name] = server()[name] end
end

-- Once more, to learn at which key it fails; it would fail there for whoever calls next, too.
local function culprit(callback, keys, arguments)
  local call, last = redis.call, {}
  redis.call = function(...)
    last = {...}
    return call(...)
  end
  local done, reply = pcall(callback, keys, arguments)
  redis.call = call
  if last[1] ~= 'BITOP' then return done, reply, last[2] end
  for n = 3, #last do
    if call('TYPE', last[n])['ok'] ~= 'string' and call('EXISTS', last[n]) == 1 then return done, reply, last[n] end
  end
  return done, reply
end

-- What this call has done so far, roughly in steps of 20 us. Where it is much nothing more is begun, and whoever asked asks again; where it
-- is too much, what was begun goes on in a later call. What takes longer than it should ends after LONG seconds, too; what has done little
-- yet may take longer, for a slow machine has to get on as well, and one that stood still for a moment.
local MUCH, TOO_MUCH, STEP, LITTLE = 100, 130, 2e-5, 10
local LONG, LONG_BY_DAY, LONGER, LONGER_BY_DAY = 0.0015, 0.002, 2, 10
local done_so_far, begun = 0, nil
local share = 1 -- of LONG that this call has; less where the collector must catch up
local clock

-- The processor's time where the server has it for us, else that of the day; there a call also ends that did not run for a while, so one that
-- has done little gets much more.
local function take_over_clock()
  local here, found = pcall(function() return os.clock end)
  if here and found then
    clock = found
    return
  end
  local call = redis.call
  LONG, LONGER = LONG_BY_DAY, LONGER_BY_DAY
  function clock()
    local now = call('TIME')
    return tonumber(now[1]) % 1e6 + tonumber(now[2]) / 1e6
  end
end

-- Whether the time of this call would be over after so many seconds more. Asking for the time takes as long as a call of the server: only
-- who may do much does so.
local function is_long(more)
  begun = begun or clock()
  return clock() - begun + more >= (done_so_far < LITTLE and LONGER or share) * LONG
end

function routing.weigh(steps)
  begun = begun or clock()
  done_so_far = done_so_far + steps
end

function routing.is_too_much() return done_so_far >= TOO_MUCH or is_long(0) end

function routing.is_much() return done_so_far >= MUCH or is_long(0) end

-- Whether what will take about so many steps still fits into this call.
function routing.has_room(steps) return done_so_far + steps < MUCH and not is_long(steps * STEP) end

-- Lua would collect its garbage in the midst of whichever call makes much of it, nearly all at once: ten milliseconds. Here it rests during a
-- call, and each does a bounded part when it is done. A cycle begins once ROOMY times as much came as is alive, ROOM at least and MOST_ROOM at
-- most (what came unseen counts as alive, and where work is heavy that would let the next cycle come ever later), and then goes
-- on in every call to its end: resting in the midst of one, after it had freed a little, let garbage grow without end. Servers do a little of
-- it every 50 or 500 calls, which is SLOW; no threshold of Lua's own ever begins it.
-- One interpreter runs the functions of everybody. Where others made much since the last call, collecting goes on between calls as Lua does it.
local PART, ROOM, MOST_ROOM, ROOMY = 0.0005, 4096, 20480, 2 -- seconds; KB
local CROWDED, WHOLE = 6144, 0.0025 -- KB beyond which a part may take longer, and the seconds that such a call then has in all
local SHARE = 0.5 -- of its time that a call has left then: whoever makes garbage faster than it can be collected would do so for ever
local STRIDE, KB_OF_STRIDE, PUT_OFF = 8, 3, 8 -- steps at once, some 25 us; KB of garbage that pay for them; strides that are put off at most
local FAST, SLOW, NEVER = 40, 20, 100000 -- percent of what came; of what is left, which there must be for a threshold
local OTHERS = 256 -- KB that others made
local collect, goal, left, owed = nil, ROOM, 0, 0 -- KB from which on is collected, KB when the last call was done, and strides put off
local collecting, marked, made = false, false, 0 -- whether a cycle has begun, and has marked what is alive; KB that came since then
local sign = nil -- holds something that nobody needs, until Lua has marked what is alive
local crowd = false -- whether others make much

local function take_over_collecting()
  local here, found, weakly = pcall(function() return collectgarbage, setmetatable end)
  if not here or not found or not pcall(found, 'count') then return end
  collect, sign = found, weakly({}, {__mode = 'v'})
  collect('setpause', NEVER)
  collect('setstepmul', SLOW)
  left = collect('count')
  goal = left + ROOM
end

-- How long this call's part may take, in seconds.
local function part_of(now, from)
  if now <= goal + CROWDED or not begun then return PART end
  return math.max(PART, WHOLE - (from - begun))
end

local function begin_cycle() collecting, marked, made, owed, sign[1] = true, false, 0, 0, {} end

-- A part of a cycle; whether Lua has freed all that it found not to be alive.
local function collect_part(now)
  local new = math.max(0, now - left)
  made, owed = made + new, math.min(owed, PUT_OFF) + new / KB_OF_STRIDE
  if owed < 1 then return false end
  local from, over = clock(), false
  local limit = part_of(now, from)
  collect('setstepmul', FAST)
  repeat
    over, owed = collect('step', STRIDE), owed - 1
  until over or owed < 1 or clock() - from > limit
  collect('setstepmul', SLOW)
  collect('stop') -- before the next call's arguments come
  return over
end

-- Whether a cycle is over. What comes after what is alive was marked it spares; so one that the server had begun before is only the way to
-- ours, and where Lua marks once more, it was the server that ended ours.
local function is_cycle_over(over)
  if sign[1] then return over and marked end
  if marked then return true end
  marked, made, sign[1] = true, 0, {}
  return over
end

local function end_cycle(now) collecting, goal = false, now + math.max(ROOM, math.min(ROOMY * (now - made), MOST_ROOM)) end

local function rest()
  if crowd then collect('setstepmul', SLOW) end
  collect('stop')
  local now = collect('count')
  crowd, share = now - left > OTHERS, now > goal + CROWDED and SHARE or 1
end

local function collect_some()
  local now = collect('count')
  if not collecting and now >= goal then begin_cycle() end
  if collecting then
    local over = is_cycle_over(collect_part(now))
    now = collect('count')
    if over then end_cycle(now) end
  end
  left = now
  if not crowd then return end
  collect('setstepmul', FAST)
  collect('restart')
end

local function text_of_error(reply) return type(reply) == 'table' and reply.err or tostring(reply) end

-- Somebody wrote something else where routing keeps its own. What can be made anew is; of the rest the key is named.
local function guarded(callback)
  return function(keys, arguments)
    if not redis.call then
      take_over()
      take_over_clock()
      take_over_collecting()
    end
    if collect then rest() end
    done_so_far, begun = 0, nil
    routing.begin_call()
    local done, reply = pcall(callback, keys, arguments)
    if collect then collect_some() end
    if done then return reply end
    routing.forget_pools()
    if not string.find(text_of_error(reply), 'WRONGTYPE', 1, true) then error(reply, 0) end
    for _ = 1, 8 do
      local touched
      routing.begin_call()
      done, reply, touched = culprit(callback, keys, arguments)
      if done then return reply end
      if not touched or not routing.mend(touched) then return routing.broken(touched, text_of_error(reply)) end
    end
    error(reply, 0)
  end
end

local function register(name, callback, flags)
  server().register_function{function_name = name .. '_' .. VERSION, callback = guarded(callback), flags = flags}
end

-- The arguments one after the other.
local function taker(arguments)
  local at = 0
  return function()
    at = at + 1
    return arguments[at]
  end
end

-- A count as stored, or nil for whatever is none. 15 digits are exact in a double.
local function integer(text)
  if type(text) ~= 'string' or #text > 15 or not string.match(text, '^%d+$') then return nil end
  return tonumber(text)
end

local function text_of(number) return string.format('%.0f', number) end

-- Whether `key` holds a `kind` or nothing. Under our names anything else is garbage, and is deleted.
local function sound(key, kind)
  local found = redis.call('TYPE', key)['ok']
  if found == kind or found == 'none' then return true end
  redis.call('DEL', key)
  return false
end

local function in_chunks(command, key, values)
  for first = 1, #values, CHUNK do
    redis.call(command, key, unpack(values, first, math.min(first + CHUNK - 1, #values)))
  end
end

-- Who else holds the lease of this machine id, or nil.
local function rival(lease, installation)
  sound(lease, 'hash')
  local owner = redis.call('HMGET', lease, 'installation', 'host')
  if not owner[1] or owner[1] == installation then return nil end
  if owner[2] and owner[2] ~= '' then return owner[2] end
  return owner[1]
end

-- Where a machine's stream stands, and whether its stored inventory is whole (`known`).
-- ahead_epoch and ahead_seq exist while events were sent that the stored inventory does not contain.
local function standing(models, inventory, names)
  local whole = sound(models, 'hash')
  whole = sound(inventory, 'hash') and whole
  whole = sound(names, 'hash') and whole
  local got = redis.call('HMGET', models, 'epoch', 'seq', 'digest', 'total_models', 'total_names', 'total_bytes',
    'ahead_epoch', 'ahead_seq')
  local epoch, seq, ahead = integer(got[1]), integer(got[2]), integer(got[7]) and integer(got[8])
  local at = {digest = got[3], bytes = got[6] and string.match(got[6], '^%d+$') and tonumber(got[6])} -- may exceed what a double tells apart
  at.known = whole and epoch and seq and got[3] and at.bytes and not ahead
    and redis.call('HEXISTS', models, 'models') == 1
    and integer(got[4]) == redis.call('HLEN', inventory)
    and integer(got[5]) == redis.call('HLEN', names)
  at.epoch = ahead and integer(got[7]) or epoch or 0
  at.seq = ahead or (epoch and seq) or 0
  return at
end

local function expected(at) return at.epoch == 0 and '0' or text_of(at.seq + 1) end

-- The eight fields of an event as they follow in the arguments.
local function event_of(take, machine)
  return {machine = machine, epoch = take(), seq = take(), instance = take(), kind = take(), at = take(),
    digest = take(), data = take()}
end

-- What the arguments say of the stream's length and age. An append trims by length, `expire` afterwards by age.
local function bounds(take) return {maxlen = take(), age = tonumber(take())} end

local function append(events, keep, event)
  sound(events, 'stream')
  return redis.call('XADD', events, 'MAXLEN', '~', keep.maxlen, '*', 'machine_id', event.machine, 'instance',
    event.instance, 'epoch', event.epoch, 'seq', event.seq, 'kind', event.kind, 'at', event.at, 'digest', event.digest,
    'data', event.data)
end

-- Entries older than they need to be go, whole nodes of them, and never so many that others wait for it.
local function expire(events, keep)
  local now = redis.call('TIME')
  local oldest = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) - keep.age
  if oldest > 0 then redis.call('XTRIM', events, 'MINID', '~', text_of(oldest), 'LIMIT', EXPIRED_PER_CALL) end
end

-- name -> its index key, for the names that follow in the arguments; their keys start at `first`.
local function index_of(take, keys, first)
  local index = {}
  for n = 0, tonumber(take()) - 1 do index[take()] = keys[first + n] end
  return index
end

-- NEEDS and up to 1,000 of the names whose index keys must be passed too, or nil.
local function needs(missing)
  local reply = {'NEEDS'}
  for name in pairs(missing) do
    if #reply <= 1000 then reply[#reply + 1] = name end
  end
  if #reply > 1 then return reply end
end

local function enlist(index_key, machine, held)
  local command = held and 'SADD' or 'SREM'
  if type(redis.pcall(command, index_key, machine)) == 'number' then return end
  sound(index_key, 'set')
  redis.call(command, index_key, machine)
end

local function decoded(text)
  local readable, entry = pcall(cjson.decode, text)
  if readable and type(entry) == 'table' and type(entry.name) == 'string' and type(entry.size) == 'number' then
    return entry
  end
end

-- Names that the index may list this machine under, as far as stored values still tell.
local function listed(inventory, names)
  local found = {}
  for _, name in ipairs(redis.call('HKEYS', names)) do found[name] = true end
  if next(found) == nil then
    for _, text in ipairs(redis.call('HVALS', inventory)) do
      local entry = decoded(text)
      if entry then found[entry.name] = true end
    end
  end
  return found
end

-- The JSON string of an entry's folder. Entries begin with it; only a folder with an escape needs the decoder.
local function folder_of(text)
  local plain = string.match(text, '^{"folder":("[^"\\]*"),')
  if plain then return plain end
  local entry = decoded(text)
  if entry and type(entry.folder) == 'string' then return cjson.encode(entry.folder) end
end

-- {"folder":[entry,...],...} of a list of entries, by concatenation; nil when one of them is unreadable.
local function by_folder(entries)
  local folders, order = {}, {}
  for _, text in ipairs(entries) do
    local folder = folder_of(text)
    if not folder then return nil end
    if not folders[folder] then
      folders[folder] = {}
      order[#order + 1] = folder
    end
    local list = folders[folder]
    list[#list + 1] = text
  end
  for n, folder in ipairs(order) do order[n] = folder .. ':[' .. table.concat(folders[folder], ',') .. ']' end
  return '{' .. table.concat(order, ',') .. '}'
end

-- Puts the listing that the machine prepared for exactly this step in the place of its public hash. Whether there was one: it comes by a
-- plain write, for Lua would copy it three times.
local function put_listing(root, machine, models, base, upto)
  local key = root .. ':listing:' .. machine
  local found = redis.call('HMGET', key, 'base', 'upto')
  if found[1] ~= base or found[2] ~= upto or redis.call('HEXISTS', key, 'models') == 0 then return false end
  local moved = redis.pcall('RENAME', key, models)
  if type(moved) ~= 'table' or not moved['ok'] then return false end
  redis.call('HDEL', models, 'base', 'upto')
  return true
end

-- The machine's public hash. `text` nil leaves the models as they are.
local function state(models, inventory, names, event, installation, bytes, text)
  if text then redis.call('HSET', models, 'models', text) end
  redis.call('HSET', models, 'machine_id', event.machine, 'last_updated', event.at,
    'total_models', text_of(redis.call('HLEN', inventory)), 'total_names', text_of(redis.call('HLEN', names)),
    'total_bytes', text_of(bytes), 'total_size_gb', string.format('%.3f', bytes / 1e9),
    'epoch', event.epoch, 'seq', event.seq, 'digest', event.digest, 'instance', event.instance,
    'installation', installation)
  redis.call('HDEL', models, 'ahead_epoch', 'ahead_seq')
  redis.call('PERSIST', models)
end
