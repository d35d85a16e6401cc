-- mm_adopt: what was staged (mm_stage) is the machine's inventory from now on, together with the event that says so.
--
-- KEYS  1 machine:{id}:models   2 machine:{id}:inventory   3 machine:{id}:names   4 machine:{id}:model_manager (read)
--       5 model_manager:events   6 routing
-- ARGV  machine id, installation, length (entries) and age (ms) that the stream keeps
--       the event: epoch, seq, instance, kind, at, digest, data
--       token, number of parts, of entries, of names, bytes of all files, the public JSON (folder -> list of entries; empty: it is the
--       listing that was prepared, see mm_publish, with the token as its base and upto)
-- Returns OK id | DUP seq (this snapshot is what is stored) | GAP seq (that place in the stream is taken: give it a new seq)
--       | LOST (stage it anew) | LIST (there is no such listing) | FENCED epoch | BUSY host

local function mm_adopt(keys, arguments)
  local take = taker(arguments)
  local machine, installation, keep = take(), take(), bounds(take)
  local host = rival(keys[4], installation)
  if host then return {'BUSY', host} end
  local at, event = standing(keys[1], keys[2], keys[3]), event_of(take, machine)
  local epoch, seq = tonumber(event.epoch), tonumber(event.seq)
  if epoch < at.epoch then return {'FENCED', text_of(at.epoch)} end
  if epoch == at.epoch and seq <= at.seq then
    return {at.known and routing.marked(keys[6], machine, at.epoch, at.seq) and 'DUP' or 'GAP', expected(at)}
  end
  local token, parts, entries, names, bytes, text = take(), take(), take(), take(), tonumber(take()), take()
  local ord, came = routing.staged(keys[6], machine, token)
  local whole = ord and came == tonumber(parts) and redis.call('HLEN', keys[2]) == tonumber(entries)
    and redis.call('HLEN', keys[3]) == tonumber(names)
  if not whole then return {'LOST'} end
  if text == '' and not put_listing(keys[6], machine, keys[1], token, token) then return {'LIST'} end
  state(keys[1], keys[2], keys[3], event, installation, bytes, text ~= '' and text or nil)
  routing.adopt_staged(keys[6], ord, event)
  local id = append(keys[5], keep, event)
  expire(keys[5], keep)
  return {'OK', id}
end

register('mm_adopt', mm_adopt, {})
