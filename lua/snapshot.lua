-- mm_snapshot: the whole inventory of a machine replaces whatever is stored of it, together with the event that says so.
--
-- KEYS  1 machine:{id}:models   2 machine:{id}:inventory   3 machine:{id}:names   4 machine:{id}:model_manager (read)
--       5 model_manager:events   6 routing   7.. models:index:{name} of every name below, in the same order
-- ARGV  machine id, installation, length (entries) and age (ms) that the stream keeps
--       number of names, the names (those of the entries, and those that machine:{id}:names lists)
--       the event: epoch, seq, instance, kind, at, digest, data
--       number of entries, and for each: path, entry (JSON), name, verified (0|1), size in bytes
-- Returns OK id | STAGE (too much for one call, it or what is stored: mm_stage and mm_adopt) | DUP seq (this snapshot is what is stored) | GAP seq (that place in the stream is taken: give it a new
--       seq) | FENCED epoch | BUSY host | NEEDS name... (as in mm_publish)

local MOST, STORED = 100, 500 -- entries that come, and that are replaced

-- Whether it is too much for one call.
local function is_large(keys, machine, number)
  if number > MOST or redis.call('HLEN', keys[2]) > STORED or redis.call('HLEN', keys[3]) > STORED then return true end
  local ord = routing.machine(keys[6], machine)
  return ord and (routing.is_comparing(keys[6], ord) or redis.call('EXISTS', keys[6] .. ':coming:' .. ord) == 1
    or redis.call('SCARD', keys[6] .. ':holds:' .. ord) > STORED)
end

local function contents(take, index)
  local all = {put = {}, texts = {}, counts = {}, held = {}, missing = {}, bytes = 0}
  for n = 1, tonumber(take()) do
    local path, text, name, verified, size = take(), take(), take(), take(), take()
    all.put[2 * n - 1], all.put[2 * n], all.texts[n] = path, text, text
    all.bytes = all.bytes + tonumber(size)
    if verified == '1' then
      all.counts[name] = (all.counts[name] or 0) + 1
      local model = routing.model_in(text, name)
      all.held[model] = (all.held[model] or 0) + 1
      if not index[name] then all.missing[name] = true end
    end
  end
  return all
end

local function replace(keys, all, before, index, machine)
  redis.call('DEL', keys[1], keys[2], keys[3])
  in_chunks('HSET', keys[2], all.put)
  local held = {}
  for name, number in pairs(all.counts) do
    held[#held + 1] = name
    held[#held + 1] = text_of(number)
    enlist(index[name], machine, true)
  end
  in_chunks('HSET', keys[3], held)
  for name in pairs(before) do
    if not all.counts[name] then enlist(index[name], machine, false) end
  end
end

local function mm_snapshot(keys, arguments)
  local take = taker(arguments)
  local machine, installation, keep = take(), take(), bounds(take)
  local host = rival(keys[4], installation)
  if host then return {'BUSY', host} end
  local at = standing(keys[1], keys[2], keys[3])
  local index = index_of(take, keys, 7)
  local event = event_of(take, machine)
  local epoch, seq = tonumber(event.epoch), tonumber(event.seq)
  if epoch < at.epoch then return {'FENCED', text_of(at.epoch)} end
  at.known = at.known and routing.marked(keys[6], machine, at.epoch, at.seq)
  if epoch == at.epoch and seq <= at.seq then return {at.known and 'DUP' or 'GAP', expected(at)} end
  if is_large(keys, machine, tonumber(arguments[13 + tonumber(arguments[5])])) then return {'STAGE'} end
  local all, before = contents(take, index), listed(keys[2], keys[3])
  for name in pairs(before) do
    if not index[name] then all.missing[name] = true end
  end
  local missing = needs(all.missing)
  if missing then return missing end
  local text = by_folder(all.texts)
  if not text then return redis.error_reply('ERR mm_snapshot: an entry does not begin with its folder') end
  replace(keys, all, before, index, machine)
  state(keys[1], keys[2], keys[3], event, installation, all.bytes, text)
  routing.adopt(keys[6], machine, all.held, event)
  local id = append(keys[5], keep, event)
  expire(keys[5], keep)
  return {'OK', id}
end

register('mm_snapshot', mm_snapshot, {})
