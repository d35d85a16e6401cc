-- mm_withdraw: what is stored of a machine goes, because it says goodbye or because its lease ran out.
-- A tombstone of its last (epoch, seq) stays for a day, so that a repeated event is still recognised.
--
-- KEYS  1 machine:{id}:models   2 machine:{id}:inventory   3 machine:{id}:names   4 machine:{id}:model_manager
--       5 model_manager:alive   6 machine:{id}:model_progress   7 machine:{id}:model_scan_status   8 model_manager:events
--       9 routing   10.. models:index:{name} of every name below, in the same order
-- ARGV  machine id, mode, installation, length (entries) and age (ms) that the stream keeps
--       number of names, the names (those that machine:{id}:names lists)
--       mode bye only, the event: epoch, seq, instance, kind, at, digest, data
-- mode  bye: by the machine itself, with its last event, which is appended if it is the next one.
--       dead: by anybody, once the lease is gone and its deadline has passed.
--       stray: by anybody; of a machine of which nothing is left, no hash, no lease, no deadline, the names below forget it.
-- Returns OK id ('-' when dead or stray) | MORE (a large inventory goes name by name: call again, with names that are left, 200 at most) | DUP seq, GAP seq, SNAP seq (withdrawn, but the event was here already, is not the next
--       one, or nothing was known) | FENCED epoch, BUSY host (not yours: nothing changed) | ALIVE | NEEDS name...

local MANY, STORED = 200, 400 -- names and entries that go at once

-- Some entries, path and text in turns. A scan also comes to where others lay before, and finds nothing there.
local function some_of(inventory)
  local found = {'0'}
  repeat found = redis.call('HSCAN', inventory, found[1], 'COUNT', MANY) until #found[2] > 0 or found[1] == '0'
  return found[2]
end

-- Some paths of the inventory; and of these the names that are not below, where nothing else tells them.
local function page(keys, index)
  local flat, paths, missing = some_of(keys[2]), {}, {}
  local untold = redis.call('EXISTS', keys[3]) == 0
  for n = 1, #flat, 2 do
    paths[#paths + 1] = flat[n]
    local entry = untold and decoded(flat[n + 1])
    if entry and not index[entry.name] then missing[entry.name] = true end
  end
  return paths, needs(missing)
end

-- It claims nothing from now on, and is forgotten name by name; the rest goes when little is left.
local function part(keys, machine, index)
  local paths, more = page(keys, index)
  if more then return more end
  local names = {}
  routing.leave(keys[9], machine)
  for name, key in pairs(index) do
    enlist(key, machine, false)
    names[#names + 1] = name
  end
  in_chunks('HDEL', keys[3], names)
  in_chunks('HDEL', keys[2], paths)
  return {'MORE'}
end

local function expired(lease, alive, machine)
  if redis.call('EXISTS', lease) == 1 then return false end
  sound(alive, 'zset')
  local deadline, now = redis.call('ZSCORE', alive, machine), redis.call('TIME')
  return deadline and tonumber(deadline) <= tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end

local function forget_stray(keys, machine, index)
  if redis.call('EXISTS', keys[1], keys[2], keys[3], keys[4]) > 0 then return {'ALIVE'} end
  sound(keys[5], 'zset')
  if redis.call('ZSCORE', keys[5], machine) then return {'ALIVE'} end
  for _, key in pairs(index) do enlist(key, machine, false) end
  return {'OK', '-'}
end

local function farewell(at, event)
  local epoch, seq = tonumber(event.epoch), tonumber(event.seq)
  if epoch < at.epoch then return 'FENCED' end
  if epoch == at.epoch and seq <= at.seq then return 'DUP' end
  if epoch == at.epoch and seq == at.seq + 1 then return 'OK' end
  return at.known and epoch == at.epoch and 'GAP' or 'SNAP'
end

local function bury(keys, machine, before, index, epoch, seq)
  for name in pairs(before) do enlist(index[name], machine, false) end
  redis.call('DEL', keys[1], keys[2], keys[3], keys[4], keys[6], keys[7])
  redis.call('ZREM', keys[5], machine)
  if epoch == 0 then return end
  redis.call('HSET', keys[1], 'machine_id', machine, 'ahead_epoch', text_of(epoch), 'ahead_seq', text_of(seq))
  redis.call('PEXPIRE', keys[1], TOMBSTONE_MS)
end

local function mm_withdraw(keys, arguments)
  local take = taker(arguments)
  local machine, mode, installation, keep = take(), take(), take(), bounds(take)
  local index = index_of(take, keys, 10)
  if mode == 'stray' then return forget_stray(keys, machine, index) end
  if mode == 'dead' and not expired(keys[4], keys[5], machine) then return {'ALIVE'} end
  local host = mode == 'bye' and rival(keys[4], installation)
  if host then return {'BUSY', host} end
  local at = standing(keys[1], keys[2], keys[3])
  local event = mode == 'bye' and event_of(take, machine)
  local verdict = event and farewell(at, event) or 'OK'
  if verdict == 'FENCED' then return {verdict, text_of(at.epoch)} end
  if redis.call('HLEN', keys[3]) > MANY or redis.call('HLEN', keys[2]) > STORED then return part(keys, machine, index) end
  local before, missing = listed(keys[2], keys[3]), {}
  for name in pairs(before) do
    if not index[name] then missing[name] = true end
  end
  local more = needs(missing)
  if more then return more end
  sound(keys[5], 'zset')
  if event and verdict == 'OK' then at.seq = tonumber(event.seq) end
  bury(keys, machine, before, index, at.epoch, at.seq)
  routing.leave(keys[9], machine)
  routing.settle(keys[9], 20)
  if not event then return {'OK', '-'} end
  if verdict == 'OK' then return {'OK', append(keys[8], keep, event)} end
  return {verdict, expected(at)}
end

register('mm_withdraw', mm_withdraw, {'allow-oom'})
