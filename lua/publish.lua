-- mm_publish: events of one machine and what they change in its inventory, all in one step or not at all.
--
-- KEYS  1 machine:{id}:models   2 machine:{id}:inventory   3 machine:{id}:names   4 machine:{id}:model_manager (read)
--       5 model_manager:events   6 routing   7.. models:index:{name} of every name below, in the same order
-- ARGV  machine id, installation, epoch of the caller, mode, length (entries) and age (ms) that the stream keeps
--       number of names, the names
--       number of events, and for each: epoch, seq, instance, kind, at, digest, data, number of changes, and for each
--       change: path, entry (JSON; empty = gone), name, verified (0|1), size in bytes
-- What is verified becomes claimable, and what is gone does not, in the same step; see lua/routing.
-- mode  strict: the stored inventory must be the one before the first event.
--       here: the same; the public JSON is changed in here, however large it is.
--       blind: the events are history that a snapshot follows; nothing but the stream and the position moves.
-- Returns OK id | DUP seq (all of it was here already) | GAP seq (this one is next) | FENCED epoch (a later one than the caller's wrote)
--       | SNAP seq (the stored inventory is unknown, or another one than the new epoch starts from, or this is too much for one call)
--       | BUSY host (another installation is alive under this machine id) | NEEDS name... (pass their index keys too)
--       | LIST (the public JSON is too large to be changed in here: write what it will be into the hash routing:listing:{id}, with
--       `models`, its `base`, "epoch seq" of the stored one, and `upto`, those of the last event, and call again; or choose here)

local CHANGES = 60 -- of one call; with more, or when they are to be sought in too much, a snapshot in parts keeps nobody waiting
local SOUGHT = 100e6 -- bytes of public JSON, once for each change
local LARGE = 500000 -- bytes of public JSON; of a larger one each copy takes others' time

local function judged(at, event, mode)
  local epoch, seq = tonumber(event.epoch), tonumber(event.seq)
  if epoch < at.epoch or (epoch == at.epoch and seq <= at.seq) then return 'DUP' end
  if mode == 'blind' then return 'OK' end
  if not at.known then return 'SNAP' end
  if epoch > at.epoch then
    return event.kind == 'machine.hello' and event.digest == at.digest and 'OK' or 'SNAP'
  end
  return seq == at.seq + 1 and 'OK' or 'GAP'
end

-- One verified file more, or less: by its name for the reverse index, by its model for routing.
local function count(over, name, by, text)
  local model = routing.model_in(text, name)
  over.moved[model] = (over.moved[model] or 0) + by
  if not over.index[name] then
    over.missing[name] = true
    return
  end
  if not over.counts[name] then over.counts[name] = integer(redis.call('HGET', over.names, name)) or 0 end
  over.counts[name] = over.counts[name] + by
end

-- Lays one change over the stored inventory. False when what is stored there cannot be read.
local function lay(over, path, text, name, verified, size)
  local old = over.entries[path]
  if old == nil then old = redis.call('HGET', over.inventory, path) or '' end
  if old ~= '' then
    local entry = decoded(old)
    if not entry then return false end
    over.bytes = over.bytes - entry.size
    if entry.verified == true then count(over, entry.name, -1, old) end
  end
  if text ~= '' then
    over.bytes = over.bytes + tonumber(size)
    if verified == '1' then count(over, name, 1, text) end
  end
  over.entries[path] = text
  over.laid = over.laid + 1
  if over.before[path] == nil then
    over.before[path] = old
    over.order[#over.order + 1] = path
  end
  return true
end

-- What the changes come to: entries that go or become another one, in the order in which they stand in the public JSON, and by folder
-- those that come. Nil when one is not in there, or has no folder.
local function edits(over, json)
  local there, coming, folders = {}, {}, {}
  for _, path in ipairs(over.order) do
    local old, new = over.before[path], over.entries[path]
    local folder = new ~= '' and folder_of(new) or nil
    if new ~= '' and not folder then return nil end
    if old ~= '' and old ~= new then
      local first, last = string.find(json, old, 1, true)
      if not first then return nil end
      there[#there + 1] = {first = first, last = last, new = folder and folder_of(old) == folder and new or ''}
    end
    if new ~= '' and (old == '' or folder_of(old) ~= folder) then
      if not coming[folder] then
        coming[folder] = {}
        folders[#folders + 1] = folder
      end
      table.insert(coming[folder], new)
    end
  end
  table.sort(there, function(one, other) return one.first < other.first end)
  return there, coming, folders
end

-- The public JSON with these entries replaced, or cut out together with a comma.
local function replaced(json, there)
  local parts, from, upto, rest = {}, 1, 0, 1 -- from .. upto are copied next, then what follows at rest
  for _, each in ipairs(there) do
    if each.first > rest then
      parts[#parts + 1] = string.sub(json, from, upto)
      from, upto = rest, each.first - 1
    end
    rest = each.last + 1
    if each.new ~= '' then
      parts[#parts + 1] = string.sub(json, from, upto)
      parts[#parts + 1] = each.new
      from, upto = rest, rest - 1
    elseif string.sub(json, rest, rest) == ',' then
      rest = rest + 1
    elseif upto >= from and string.sub(json, upto, upto) == ',' then
      upto = upto - 1
    end
  end
  parts[#parts + 1] = string.sub(json, from, upto)
  parts[#parts + 1] = string.sub(json, rest)
  return table.concat(parts)
end

-- The public JSON with entries more. An unescaped '"folder":[' occurs only where that folder's list begins.
local function put_in(json, coming, folders)
  local lists, new = {}, {}
  for _, folder in ipairs(folders) do
    local _, last = string.find(json, folder .. ':[', 1, true)
    local text = table.concat(coming[folder], ',')
    if last then lists[#lists + 1] = {last = last, text = text} else new[#new + 1] = folder .. ':[' .. text .. ']' end
  end
  table.sort(lists, function(one, other) return one.last < other.last end)
  local parts, rest = {}, 1
  for _, each in ipairs(lists) do
    parts[#parts + 1] = string.sub(json, rest, each.last)
    parts[#parts + 1] = each.text
    rest = each.last + 1
    if string.sub(json, rest, rest) ~= ']' then parts[#parts + 1] = ',' end
  end
  if #new == 0 then
    parts[#parts + 1] = string.sub(json, rest)
  else
    parts[#parts + 1] = string.sub(json, rest, -2)
    parts[#parts + 1] = (json == '{}' and '' or ',') .. table.concat(new, ',') .. '}'
  end
  return table.concat(parts)
end

-- The same as `rendered`, by changing the public JSON: 10,000 entries take 60 ms to render and 5 to edit, however many changes there are.
local function edited(over)
  local json = redis.call('HGET', over.models, 'models')
  if not json then return nil end
  local there, coming, folders = edits(over, json)
  if not there then return nil end
  if #there > 0 then json = replaced(json, there) end
  return #folders > 0 and put_in(json, coming, folders) or json
end

-- The whole inventory with the changes in it, as the public JSON; nil when a stored entry is unreadable.
local function rendered(over)
  local flat, texts, seen = redis.call('HGETALL', over.inventory), {}, {}
  for n = 1, #flat, 2 do
    local text = over.entries[flat[n]]
    if text then seen[flat[n]] = true else text = flat[n + 1] end
    if text ~= '' then texts[#texts + 1] = text end
  end
  for path, text in pairs(over.entries) do
    if text ~= '' and not seen[path] then texts[#texts + 1] = text end
  end
  return by_folder(texts)
end

local function write(over, machine)
  local put, drop = {}, {}
  for path, text in pairs(over.entries) do
    if text == '' then
      drop[#drop + 1] = path
    else
      put[#put + 1] = path
      put[#put + 1] = text
    end
  end
  in_chunks('HSET', over.inventory, put)
  in_chunks('HDEL', over.inventory, drop)
  for name, held in pairs(over.counts) do
    if held > 0 then redis.call('HSET', over.names, name, text_of(held)) else redis.call('HDEL', over.names, name) end
    enlist(over.index[name], machine, held > 0)
  end
end

local function place_of(at) return text_of(at.epoch) .. ' ' .. text_of(at.seq) end

-- The public JSON with the changes in it. Nil and the answer where that cannot be had.
local function changed_json(over, mode, stood)
  local bytes = redis.call('HSTRLEN', over.models, 'models')
  if mode ~= 'here' and bytes > LARGE then return nil, {'LIST'} end
  if #over.order * bytes > SOUGHT then return nil, {'SNAP', expected(stood)} end
  local text = edited(over) or rendered(over)
  if not text then return nil, {'SNAP', expected(stood)} end
  return text
end

local function mm_publish(keys, arguments)
  local take = taker(arguments)
  local machine, installation, own_epoch, mode = take(), take(), tonumber(take()), take()
  local keep = bounds(take)
  local host = rival(keys[4], installation)
  if host then return {'BUSY', host} end
  local at = standing(keys[1], keys[2], keys[3])
  local stood = {epoch = at.epoch, seq = at.seq}
  at.known = at.known and routing.marked(keys[6], machine, at.epoch, at.seq)
  if own_epoch < at.epoch then return {'FENCED', text_of(at.epoch)} end
  local over = {models = keys[1], inventory = keys[2], names = keys[3], index = index_of(take, keys, 7), entries = {}, counts = {},
    moved = {}, missing = {}, bytes = at.bytes, before = {}, order = {}, laid = 0}
  local accepted = {}
  for _ = 1, tonumber(take()) do
    local event = event_of(take, machine)
    local verdict = judged(at, event, mode)
    if verdict == 'SNAP' or verdict == 'GAP' then return {verdict, expected(at)} end
    for _ = 1, tonumber(take()) do
      local path, text, name, verified, size = take(), take(), take(), take(), take()
      if verdict == 'OK' and mode ~= 'blind' and not lay(over, path, text, name, verified, size) then
        return {'SNAP', expected(at)}
      end
    end
    if verdict == 'OK' then
      accepted[#accepted + 1] = event
      at.epoch, at.seq, at.digest = tonumber(event.epoch), tonumber(event.seq), event.digest
    end
  end
  if #accepted == 0 then return {'DUP', text_of(at.seq)} end
  local missing = needs(over.missing)
  if missing then return missing end
  local text, answer
  if over.laid > 0 then
    if over.laid > CHANGES then return {'SNAP', expected(stood)} end
    if not put_listing(keys[6], machine, keys[1], place_of(stood), place_of(at)) then
      text, answer = changed_json(over, mode, stood)
      if answer then return answer end
    end
    write(over, machine)
  end
  local last = accepted[#accepted]
  if mode == 'blind' then
    redis.call('HSET', keys[1], 'machine_id', machine, 'ahead_epoch', last.epoch, 'ahead_seq', last.seq)
  else
    state(keys[1], keys[2], keys[3], last, installation, over.bytes, text)
    routing.publish(keys[6], machine, over.moved, last)
  end
  local id
  for _, event in ipairs(accepted) do
    id = append(keys[5], keep, event)
    if event.kind == 'disk.low' and mode ~= 'blind' then routing.disk_low(keys[6], machine, event.data) end
  end
  expire(keys[5], keep)
  return {'OK', id}
end

register('mm_publish', mm_publish, {})
