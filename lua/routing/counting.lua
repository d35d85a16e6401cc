-- What became of claims, for metrics, and when jobs last needed which models where. Nothing here decides anything.
--
-- The pool's hash counts: claims (jobs that were given to a worker), claims_hot (of these, those whose signature the worker named
-- as hot), claims_fetched (whose models a machine was asked to fetch while they waited), claims_missing (given back because a model
-- was not there after all).
-- :ran:{machine}  token of a model -> seconds since 1970 when a job that names it was last given to a worker there, or up to ten before
-- :errands        signature -> ms since 1970 when a machine was last asked to fetch for it

local KEPT_MS = '7776000000' -- 90 days after the last new model, or ten seconds less

function routing.count(root, what, number) return redis.call('HINCRBY', root, what, number) end

-- A job that waited while its models were fetched for it.
local function was_fetched_for(root, job, score)
  if job.pol ~= 'fetch' then return false end
  local asked = redis.pcall('HGET', root .. ':errands', job.s)
  return type(asked) == 'string' and tonumber(asked) >= routing.submitted(job, score)
end

-- Jobs of these numbers were given to workers just now.
function routing.claimed(root, pool, jobs, numbers)
  routing.claims_counted(pool, #numbers, routing.count(root, 'claims', #numbers))
  for _, n in ipairs(numbers) do
    if was_fetched_for(root, jobs[n], jobs[n].p) then routing.count(root, 'claims_fetched', 1) end
  end
end

local flat = {} -- used again by the next claim

-- `tokens`: the models of a job that a worker of this machine just got.
function routing.ran(root, pool, machine, tokens, now)
  local at, last = nil, 0
  for _, token in ipairs(tokens) do
    if not routing.ran_lately(pool, machine, token, now) then
      at = at or text_of(math.floor(now / 1e6))
      flat[last + 1], flat[last + 2], last = token, at, last + 2
    end
  end
  if not at then return end
  local key, anew = root .. ':ran:' .. machine, false
  local new = redis.pcall('HSET', key, unpack(flat, 1, last))
  if type(new) ~= 'number' then
    redis.call('DEL', key)
    new, anew = redis.call('HSET', key, unpack(flat, 1, last)), true
  end
  if new > 0 and (not routing.ran_lately(pool, machine, '', now) or anew) then redis.call('PEXPIRE', key, KEPT_MS) end
end
