-- mm_stage: a part of an inventory that is too large for one call. It counts from mm_adopt on; until then the machine's public hash says,
-- by ahead_epoch and ahead_seq, that its snapshot is on its way.
--
-- KEYS  1 machine:{id}:models   2 machine:{id}:inventory   3 machine:{id}:names   4 machine:{id}:model_manager (read)   5 routing
--       6.. models:index:{name} of every name below, in the same order
-- ARGV  machine id, installation, epoch and seq that the snapshot will have, its token, part (0 begins anew; 1, 2, 3 ...)
--       number of names, the names (at most 200), and of each how many verified entries have it in the whole snapshot (0: none any more)
--       number of entries (at most 200), and for each: path, entry (JSON), name, verified (0|1)
-- Returns OK | LOST (begin anew) | FENCED epoch | BUSY host | BAD reason
--       and to part 0 | MORE (what was stored before goes step by step: call again) | DUP seq, GAP seq (as mm_adopt)

local MOST = 200

local function begin(keys, at, machine, token, epoch, seq)
  if epoch == at.epoch and seq <= at.seq then
    return {at.known and routing.marked(keys[5], machine, at.epoch, at.seq) and 'DUP' or 'GAP', expected(at)}
  end
  if at.epoch > 0 and redis.call('HEXISTS', keys[1], 'epoch') == 1 then
    redis.call('HSET', keys[1], 'ahead_epoch', text_of(at.epoch), 'ahead_seq', text_of(at.seq))
  end
  if not routing.cleared(keys[2]) then return {'MORE'} end
  if not routing.begin_stage(keys[5], machine, token) then return {'MORE'} end
  return {'OK'}
end

local function list(keys, machine, index, counts)
  for name, number in pairs(counts) do
    enlist(index[name], machine, number ~= '0')
    if number == '0' then redis.call('HDEL', keys[3], name) else redis.call('HSET', keys[3], name, number) end
  end
end

-- Path and entry, one after the other, and the models that are verified.
local function entries_of(take, number)
  local put, models = {}, {}
  for n = 1, number do
    local path, text, name, verified = take(), take(), take(), take()
    put[2 * n - 1], put[2 * n] = path, text
    if verified == '1' then
      local model = routing.model_in(text, name)
      models[model] = (models[model] or 0) + 1
    end
  end
  return put, models
end

local function mm_stage(keys, arguments)
  local take = taker(arguments)
  local machine, installation, epoch, seq = take(), take(), tonumber(take() or nil), tonumber(take() or nil)
  local token, part = take(), routing.whole(take(), 0, 1e6)
  if not (routing.is_machine(machine) and epoch and seq and routing.is_word(token) and part) or string.find(token, '%s') then
    return routing.bad('the machine, the epoch, the seq, the token or the part cannot be meant so')
  end
  local host = rival(keys[4], installation)
  if host then return {'BUSY', host} end
  local at = standing(keys[1], keys[2], keys[3])
  if epoch < at.epoch then return {'FENCED', text_of(at.epoch)} end
  if part == 0 then return begin(keys, at, machine, token, epoch, seq) end
  local ord, last = routing.staged(keys[5], machine, token)
  if not ord or part > last + 1 then return {'LOST'} end
  if part <= last then return {'OK'} end
  local names = routing.whole(arguments[7], 0, MOST)
  if not names then return routing.bad('there are more than 200 names in one part') end
  local index, counts = index_of(take, keys, 6), {}
  for n = 1, names do counts[arguments[7 + n]] = take() end
  local number = routing.whole(take(), 0, MOST)
  if not number then return routing.bad('there are more than 200 entries in one part') end
  local put, models = entries_of(take, number)
  list(keys, machine, index, counts)
  in_chunks('HSET', keys[2], put)
  routing.stage(keys[5], ord, token, part, models)
  return {'OK'}
end

register('mm_stage', mm_stage, {})
