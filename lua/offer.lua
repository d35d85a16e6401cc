-- mm_offer: what the workers of one seat of a machine offer from now on. Repeating it costs little.
--
-- KEYS  1 routing   2 machine:{id}:model_manager (read)
-- ARGV  machine id, seat (empty = every worker of the machine that has none of its own), time to live in ms (0 = as long as
--       the agent's lease), offer as JSON (empty = it is withdrawn)
-- Returns OK profile more (1 = indexing goes on: mm_settle) | BAD reason

local STEPS = 60

local function mm_offer(keys, arguments)
  local root, machine, seat, ttl, text = keys[1], arguments[1], arguments[2], routing.whole(arguments[3], 0, 86400000), arguments[4]
  if not routing.is_machine(machine) then return routing.bad('the machine id is empty, too long, or contains : or .') end
  if seat ~= '' and not routing.is_word(seat) then return routing.bad('the seat is no name') end
  if not ttl then return routing.bad('the time to live is no number of ms up to a day') end
  if text == '' then
    routing.vacate(root, machine, seat)
    return {'OK', '', routing.settle(root, STEPS) and '1' or '0'}
  end
  routing.weigh(#(text or '') / 300)
  local offer, why = rules.read_offer(text)
  if why then return routing.bad(why) end
  local ends = ttl > 0 and math.floor(routing.now() / 1000) + ttl or 0
  local profile
  profile, why = routing.take_seat(root, machine, seat, offer, ends)
  if why then return routing.bad(why) end
  local more = redis.call('EXISTS', root .. ':todo') == 1
  if more and routing.has_room(40) then more = routing.settle(root, STEPS) end
  return {'OK', profile, more and '1' or '0'}
end

register('mm_offer', mm_offer, {})
