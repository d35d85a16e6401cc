-- Ordinals and the bitmaps over them. Signatures, machines, models, profiles and demands have small dense numbers that are
-- used again, so that "which" is a bitmap and "both" is a BITOP.

local LISTED = 1000 -- values in one command

local positions_in, bits_in

-- Which of the eight positions a byte sets, for all 256.
local function tables()
  positions_in, bits_in = {}, {}
  for byte = 0, 255 do
    local found, rest = {}, byte
    for position = 7, 0, -1 do
      if rest % 2 == 1 then table.insert(found, 1, position) end
      rest = math.floor(rest / 2)
    end
    positions_in[byte] = found
    bits_in[byte] = {}
    for _, position in ipairs(found) do bits_in[byte][position] = true end
  end
  return positions_in
end

-- The next free number of a kind, as text.
function routing.ordinal(root, kind)
  local free = redis.call('LPOP', root .. ':free:' .. kind)
  if free then return free end
  return text_of(redis.call('HINCRBY', root, kind, 1) - 1)
end

function routing.give_back(root, kind, ordinal) redis.call('RPUSH', root .. ':free:' .. kind, ordinal) end

-- Whether bit `ordinal`, a number, is set in the text of a bitmap.
function routing.has(text, ordinal)
  local bits, bit = bits_in or (tables() and bits_in), ordinal % 8
  local byte = string.byte(text, (ordinal - bit) / 8 + 1)
  return byte ~= nil and bits[byte][bit] == true
end

-- Where in a list of numbers, from `at` on, the first one stands that is set in both bitmaps, or in one if there is no other.
function routing.first_in_both(one, other, numbers, at)
  local bits, byte_at = bits_in or (tables() and bits_in), string.byte
  for n = at, #numbers do
    local number = numbers[n]
    local bit = number % 8
    local in_text = (number - bit) / 8 + 1
    local byte = byte_at(one, in_text)
    if byte and bits[byte][bit] then
      byte = byte_at(other or one, in_text)
      if byte and bits[byte][bit] then return n end
    end
  end
end

-- The numbers whose bits are set, from `first` on, at most `limit`; and where to go on, or nil at the end.
function routing.members(text, limit, first)
  local found, known = {}, positions_in or tables()
  local at, skip = math.floor((first or 0) / 8) + 1, (first or 0) % 8
  while true do
    at = string.find(text, '[^%z]', at)
    if not at then return found end
    local base = (at - 1) * 8
    for _, position in ipairs(known[string.byte(text, at)]) do
      if position >= skip then
        if #found == limit then return found, base + position end
        found[#found + 1] = base + position
      end
    end
    at, skip = at + 1, 0
  end
end

-- The bitmap of a list of numbers.
function routing.bitmap(ordinals)
  local bytes, last = {}, -1
  for _, ordinal in ipairs(ordinals) do
    local number = tonumber(ordinal)
    local at = math.floor(number / 8)
    bytes[at] = (bytes[at] or 0) + 2 ^ (7 - number % 8)
    last = math.max(last, at)
  end
  local parts = {}
  for at = 0, last do parts[at + 1] = string.char(bytes[at] or 0) end
  return table.concat(parts)
end

-- What `work` writes stays on this server: replicas and the append-only file hear nothing of scratch keys.
function routing.aside(work)
  if redis.set_repl then redis.set_repl(redis.REPL_NONE) end
  local one, two = work()
  if redis.set_repl then redis.set_repl(redis.REPL_ALL) end
  return one, two
end

function routing.scratch(root, name) return root .. ':scratch:' .. name end

-- A BITOP of any number of keys into a scratch key. Servers are quick with at most 16 sources.
function routing.combine(operation, target, sources)
  redis.call('BITOP', operation, target, unpack(sources, 1, math.min(#sources, 15)))
  for first = 16, #sources, 14 do
    redis.call('BITOP', operation, target, target, unpack(sources, first, math.min(first + 13, #sources)))
  end
end

-- target = target without what is in `key`. NOT would end where `key` does.
function routing.without(root, target, key)
  local both = routing.scratch(root, 'both')
  redis.call('BITOP', 'AND', both, target, key)
  redis.call('BITOP', 'XOR', target, target, both)
end

-- Writes a bitmap, or nothing for an empty one.
function routing.put_bits(key, text)
  if text == '' or not string.find(text, '[^%z]') then redis.call('DEL', key) else redis.call('SET', key, text) end
end

-- HMGET, SMISMEMBER or ZMSCORE of any number of values.
function routing.gathered(command, key, values)
  local found = {}
  for first = 1, #values, LISTED do
    local last = math.min(first + LISTED - 1, #values)
    local some = redis.call(command, key, unpack(values, first, last))
    for n = 1, last - first + 1 do found[first + n - 1] = some[n] end
  end
  return found
end
