-- mm_lacking: in which sets of the reverse index a machine is not. What is no set has no members.
--
-- KEYS  1 and on: models:index:{name} of up to 500 names
-- ARGV  machine id
-- Returns OK place... (of each such key among KEYS, from 1 on) | BAD reason

local MOST = 500

local function mm_lacking(keys, arguments)
  if #keys > MOST then return routing.bad('there are more than 500 keys') end
  local reply = {'OK'}
  for n, key in ipairs(keys) do
    if redis.pcall('SISMEMBER', key, arguments[1]) ~= 1 then reply[#reply + 1] = text_of(n) end
  end
  return reply
end

register('mm_lacking', mm_lacking, {'no-writes'})
