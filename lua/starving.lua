-- mm_starving: jobs that wait for nothing but models: no machine can do them, and one could if it had their models.
--
-- KEYS  1 routing
-- ARGV  cursor (0 begins), at most so many signatures (1 to 500; fewer when they take long)
-- Returns OK next(0 = the end), and for each signature of such jobs: number of jobs, JSON (models: those that it names)
--       | BAD reason
-- What comes and goes between two calls may be missed.

local KINDS = {['n:'] = true, ['f:'] = true, ['h:'] = true}

-- Tokens that no download brings: room, machines that it is kept from, models that must not be there.
local function others(tokens)
  local found = {}
  for _, token in ipairs(tokens) do
    if not KINDS[string.sub(token, 1, 2)] then found[#found + 1] = token end
  end
  return found
end

local function starves(root, sid, parts, tokens)
  if #(parts.models or {}) == 0 or routing.number_able_of(root, sid) > 0 then return false end
  local _, number = routing.able_of(root, sid, others(tokens))
  return number > 0
end

local function told(jobs, parts)
  local models = {}
  for n, token in ipairs(parts.models) do models[n] = rules.model_of(token) end
  return text_of(jobs), '{"models":' .. routing.list_json(models) .. '}'
end

local function mm_starving(keys, arguments)
  local root, sid, limit = keys[1], routing.whole(arguments[1], 0, 1e9), routing.whole(arguments[2], 1, 500)
  if not sid or not limit then return routing.bad('the cursor is none of ours, or not 1 to 500 signatures are asked for') end
  local reply, stop = {'OK', '0'}, sid + limit
  local last = tonumber(redis.call('HGET', root, 'signature') or '0')
  while sid < last do
    if sid == stop or routing.is_much() then
      reply[2] = text_of(sid)
      return reply
    end
    local jobs = redis.call('ZCARD', root .. ':queue:' .. text_of(sid))
    local parts = jobs > 0 and routing.parts(root, text_of(sid))
    if parts then
      local tokens = routing.tokens(root, text_of(sid))
      routing.weigh(4 + #tokens / 4)
      if starves(root, text_of(sid), parts, tokens) then
        local number, models = told(jobs, parts)
        reply[#reply + 1] = number
        reply[#reply + 1] = models
      end
    end
    sid = sid + 1
  end
  return reply
end

register('mm_starving', mm_starving, {'allow-oom'})
