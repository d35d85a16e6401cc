-- mm_beat: a machine renews its lease, and hears whether the server still has what it delivered.
--
-- KEYS  1 machine:{id}:models   2 machine:{id}:inventory   3 machine:{id}:names   4 machine:{id}:model_manager
--       5 model_manager:alive   6 routing   7.. models:index:{name} of every name below, in the same order
-- ARGV  machine id, installation, instance, epoch, lease in ms, epoch and seq of the last delivered event (0 0 = none)
--       number of names, the names (their index entries are put back if somebody evicted them)
--       number of fields, and for each: field, value (the lease holds exactly these)
-- Returns OK deadline (ms of the server's clock) evicted (how many keys the server has ever evicted; empty = it does not say) | SNAP seq (lease renewed, but the inventory is gone, or older than what was
--       delivered) | FENCED epoch (a later process of this machine wrote) | BUSY host (another installation, or another
--       process with this very epoch, holds the lease: nothing was written)

local function later(lease, epoch, instance)
  local got = redis.call('HMGET', lease, 'epoch', 'instance', 'host')
  local stored = integer(got[1]) or 0
  if stored > epoch then return {'FENCED', text_of(stored)} end
  if stored == epoch and got[2] and got[2] ~= instance then return {'BUSY', got[3] or got[2]} end
end

local function renew(lease, alive, machine, ms, take)
  local fields = {}
  for n = 1, 2 * tonumber(take()) do fields[n] = take() end
  local disks
  for n = 1, #fields, 2 do
    if fields[n] == 'disks' then disks = fields[n + 1] end
  end
  redis.call('DEL', lease)
  in_chunks('HSET', lease, fields)
  redis.call('PEXPIRE', lease, ms)
  local now = redis.call('TIME')
  local deadline = text_of(tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + tonumber(ms))
  sound(alive, 'zset')
  redis.call('ZADD', alive, deadline, machine)
  return deadline, disks
end

-- While this number stays, no index entry was evicted, and a few names a beat are enough.
local function evicted()
  local said = redis.pcall('INFO', 'stats')
  return type(said) == 'string' and string.match(said, 'evicted_keys:(%d+)') or ''
end

local function mm_beat(keys, arguments)
  local take = taker(arguments)
  local machine, installation, instance = take(), take(), take()
  local epoch, ms = tonumber(take()), take()
  local delivered_epoch, delivered_seq = tonumber(take()), tonumber(take())
  local host = rival(keys[4], installation)
  if host then return {'BUSY', host} end
  local refusal = later(keys[4], epoch, instance)
  if refusal then return refusal end
  local at = standing(keys[1], keys[2], keys[3])
  if at.epoch > epoch then return {'FENCED', text_of(at.epoch)} end
  local index = index_of(take, keys, 7)
  local deadline, disks = renew(keys[4], keys[5], machine, ms, take)
  local behind = at.epoch < delivered_epoch or (at.epoch == delivered_epoch and at.seq < delivered_seq)
  routing.beat(keys[6], machine, disks)
  if behind or not at.known or not routing.marked(keys[6], machine, at.epoch, at.seq) then return {'SNAP', expected(at)} end
  for name, key in pairs(index) do
    local listed_there = redis.pcall('SISMEMBER', key, machine) == 1
    if not listed_there and redis.call('HEXISTS', keys[3], name) == 1 then enlist(key, machine, true) end
  end
  return {'OK', deadline, evicted()}
end

register('mm_beat', mm_beat, {'allow-oom'})
