-- mm_take_in: jobs that others put into jobs:pending, with their hash job:{id}, become ours; what cannot be read becomes a dead letter.
-- They stand in one order with jobs of our own, by priority (50 there is 0 here) and age.
--
-- KEYS  1 routing   2 jobs:pending (read and trimmed; job:{id} of its members is read)
-- ARGV  at most so many (1 to 100), mode
-- mode  all: whatever is there.  eligible: only what one of our machines can do now; the rest stays, and is looked at in turns.
-- Returns OK taken bad left | BAD reason

local function mm_take_in(keys, arguments)
  local root, pending, limit, mode = keys[1], keys[2], routing.whole(arguments[1], 1, 100), arguments[2]
  if not limit or (mode ~= 'all' and mode ~= 'eligible') then return routing.bad('the limit is not 1 to 100, or the mode none of ours') end
  local told = routing.take_in(root, pending, limit, mode, routing.now())
  return {'OK', text_of(told.taken), text_of(told.bad), text_of(told.left)}
end

register('mm_take_in', mm_take_in, {})
