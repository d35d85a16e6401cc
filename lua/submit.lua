-- mm_submit: jobs, each once, however often it is sent.
--
-- KEYS  1 routing
-- ARGV  number of jobs (1 to 50), and for each: id, priority (-1000 to 1000, 0 is usual, higher is sooner), requirements as
--       JSON (at most 8 KiB), customer, workflow, payload (at most 1 MiB), attempts (1 to 100), policy
-- policy  wait: until a machine can.  reject: not kept when no machine can now.  fetch: kept, and machines are asked to get
--       what is missing (mm_demand).
-- Returns OK more, and for each job: QUEUED | KNOWN (the id was here; nothing changed) | REJECTED | BAD | AGAIN (many of those before
--       it ask for something new, and nothing was done: send this one once more); how many machines can
--       take it now; its signature; JSON with `models` (model, machines) and `why` | BAD reason (nothing was read)

local MOST_JOBS, MOST_BYTES, PAYLOAD_BYTES = 50, 1310720, 1048576
local STEPS = 60 -- of indexing, in one call; the rest goes on in later ones
local SMALL = 1024 -- bytes of a requirement whose indexing is begun at once, so that the answer says who can do it
local POLICIES = {wait = true, reject = true, fetch = true}
local NAMED = {'c', 'wf'}

local function report(root, parts, able)
  local models, lacking = routing.availability(root, parts)
  local why = ''
  if able == 0 then
    why = lacking and 'no machine has ' .. lacking or 'no machine fits all of it at once'
  end
  return '{"models":' .. models .. ',"why":' .. cjson.encode(why) .. '}'
end

local function refused(why) return {'BAD', '0', '', '{"models":[],"why":' .. cjson.encode(why) .. '}'} end

local function wrong(job)
  if not routing.is_word(job.id) then return 'the id is empty, longer than 200 bytes, or contains control characters' end
  if not routing.whole(job.pr, -1000, 1000) then return 'the priority is no whole number from -1000 to 1000' end
  if not routing.whole(job.mx, 1, 100) then return 'the attempts are no whole number from 1 to 100' end
  if not POLICIES[job.pol] then return 'the policy is neither wait, reject nor fetch' end
  if #job.payload > PAYLOAD_BYTES then return 'the payload is longer than 1 MiB; put it elsewhere and send its address' end
  for _, name in ipairs(NAMED) do
    if job[name] ~= '' and not routing.is_word(job[name]) then return 'the customer or the workflow is no id' end
  end
end

-- How many machines can take a job of this signature now, and what is told of its models.
local function answer_of(root, sid, parts)
  local text, able = routing.said_of(root, sid)
  if text then return able, text end
  able = routing.number_able_of(root, sid)
  text = report(root, parts, able)
  routing.say(root, sid, text, able)
  return able, text
end

local function known(call, id)
  local found = redis.call('HMGET', routing.job_key(call.root, id), 'st', 's')
  local state, sid = found[1], found[2]
  if not (state and sid) then return nil end
  local parts = routing.parts(call.root, sid) or {}
  local able, text = answer_of(call.root, sid, parts)
  return {'KNOWN', text_of(able), sid, state == 'pending' and text or report(call.root, parts, 1)}
end

-- Kept at all? A new requirement is judged before it becomes a signature.
local function rejected(call, job, parts, text)
  if job.pol ~= 'reject' then return nil end
  local sid = redis.call('HGET', call.root .. ':signatures', text)
  local able = sid and answer_of(call.root, sid, parts) or 0
  if able > 0 then return nil end
  if sid and redis.call('EXISTS', call.root .. ':todo') == 0 then return {'REJECTED', '0', sid, report(call.root, parts, 0)} end
  local whole
  able, whole = routing.number_able_to(call.root, parts)
  if able > 0 then return nil end
  if whole then return {'REJECTED', '0', sid or '', report(call.root, parts, 0)} end
  sid = sid or routing.signature(call.root, text)
  if sid then routing.refer(call.root, sid, 0, call.now) end
  return refused('there are too many different offers to ask them all at once, and these requirements are new: send the job again')
end

-- Indexing goes on if there is time for it, or `anyway`.
local function index(call, anyway)
  if call.steps <= 0 or not (anyway or routing.has_room(40)) then return end
  local _, left = routing.settle(call.root, call.steps)
  call.steps = left
end

local function submit(call, job)
  local why = wrong(job)
  if why then return refused(why) end
  local asked, text = rules.read(job.requirement) -- or nil and why
  if not asked then return refused(text) end
  local here = known(call, job.id)
  if here then return here end
  local parts = routing.with_facets(call.root, asked, job.c, job.wf)
  if parts ~= asked then text = routing.canonical(parts) end
  local rejection = rejected(call, job, parts, text)
  if rejection then return rejection end
  local is_new
  job.s, why, is_new = routing.signature(call.root, text)
  if why then return refused(why) end
  call.sent = call.sent + 1
  job.p = string.format('%.17g', call.now + call.sent - tonumber(job.pr) * call.worth)
  if is_new then index(call, call.sent == 1 and #job.requirement < SMALL) end
  routing.add(call.root, job.id, job, job.payload, call.now, not routing.is_usual_worth(call.worth))
  local able, text = answer_of(call.root, job.s, parts)
  if job.pol == 'fetch' and able == 0 then redis.call('HSETNX', call.root .. ':fetch', job.s, '') end
  if not is_new then index(call) end
  return {'QUEUED', text_of(able), job.s, text}
end

local job = {} -- used again by the next one

local function read(take)
  job.s, job.p = nil, nil
  job.id, job.pr, job.requirement, job.c, job.wf, job.payload, job.mx, job.pol = take(), take(), take(), take(), take(), take(), take(), take()
end

local function mm_submit(keys, arguments)
  local root, number = keys[1], routing.whole(arguments[1], 1, MOST_JOBS)
  if not number or #arguments ~= 1 + 8 * number then return routing.bad('there are not 1 to 50 jobs of eight values each') end
  local bytes = 0
  for _, value in ipairs(arguments) do bytes = bytes + #value end
  if bytes > MOST_BYTES then return routing.bad('more than 1.25 MiB in one call; send fewer jobs at a time') end
  routing.weigh(0)
  local call = {root = root, now = routing.now(), sent = 0, steps = STEPS}
  call.worth = tonumber(redis.call('HGET', root, 'priority_ms') or '60000') * 1000
  local reply = {'OK', '0'}
  local take = taker(arguments)
  take()
  local stopped = false
  for n = 1, number do
    read(take)
    stopped = stopped or n > 1 and not routing.has_room(3 + #job.requirement / 64)
    if not stopped then routing.weigh(1 + #job.requirement / 256) end
    local told = stopped and {'AGAIN', '0', '', '{}'} or submit(call, job)
    for _, part in ipairs(told) do reply[#reply + 1] = part end
  end
  if redis.call('EXISTS', root .. ':todo') == 1 then reply[2] = '1' end
  return reply
end

register('mm_submit', mm_submit, {})
