-- Garbage under our names: what can be made anew is deleted, and made anew.

local HEADS = {heads = true, filled = true, noughts = true, cuts = true, nought = true}
local SPARE = {bell = true, idle = true, parked = true, scratch = true, asking = true, free = true, tokens = true,
  errands = true, shown = true}

-- The root and the kind of a key of ours. A machine's own keys have none.
local function kind_of(key)
  local root, kind = string.match(key, '^(.-routing):([%a_]+)')
  return root, kind
end

-- Whether the key is sound, or gone and being made anew.
function routing.mend(key)
  local root, kind = kind_of(key)
  if not root then return false end
  if SPARE[kind] then
    redis.call('DEL', key)
    return true
  end
  if not HEADS[kind] then return false end
  redis.call('DEL', root .. ':heads', root .. ':filled')
  routing.end_slices(root)
  routing.later(root, 'h')
  return true
end

-- The task: the heads of the queues, one signature after the other.
function routing.find_heads(root, cursor, steps)
  local last = tonumber(redis.call('HGET', root, 'signature') or '0')
  local stop = math.min(last, cursor + steps)
  for sid = cursor, stop - 1 do routing.find_head(root, text_of(sid)) end
  return stop < last and stop or nil, stop - cursor + 1
end

function routing.broken(key, why)
  if not key or not kind_of(key) then return {err = why} end
  return {err = 'ERR the key ' .. key .. ' holds a ' .. redis.call('TYPE', key)['ok'] .. ', which is not ours. Restore it, or delete all keys that '
    .. 'begin like it up to "routing": waiting jobs are lost, agents tell the rest again'}
end
