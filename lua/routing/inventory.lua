-- What agents tell of their machines, as routing takes it: in the step that publishes it.

local DOSE, STEPS = 20, 20

-- The model of a stored entry: its folder, its name, its SHA-256.
function routing.model_in(text, name)
  local folder = folder_of(text) or '""'
  local plain = string.match(folder, '^"([^"\\]*)"$')
  if not plain then plain = cjson.decode('[' .. folder .. ']')[1] end
  return rules.stored_model(plain, name, string.match(text, ',"hash":"(%x*)"') or '')
end

function routing.publish(root, machine, moved, event)
  local ord = routing.machine_or_new(root, machine)
  if next(moved) ~= nil then routing.move(root, ord, moved) end
  routing.mark(root, ord, event.epoch, event.seq)
end

function routing.adopt(root, machine, held, event)
  local ord = routing.machine_or_new(root, machine)
  routing.replace(root, ord, held)
  routing.mark(root, ord, event.epoch, event.seq)
end

-- The most that one disk has free above its floor.
local function free_of(text)
  local readable, disks = pcall(cjson.decode, text)
  if not readable or type(disks) ~= 'table' then return nil end
  local most
  for _, disk in ipairs(disks) do
    local free, floor = type(disk) == 'table' and disk.free, type(disk) == 'table' and disk.floor
    if type(free) == 'number' and type(floor) == 'number' then most = math.max(most or 0, free - floor) end
  end
  return most
end

-- A heartbeat: the disk as it is now, and a little housekeeping.
function routing.beat(root, machine, disks)
  local now = routing.now()
  local ord, free = routing.machine(root, machine), disks and free_of(disks)
  if ord and free and free == free and free < 1e15 then routing.set_free(root, ord, math.floor(free)) end
  routing.due(root, now, DOSE)
  routing.heal(root, now, DOSE)
  routing.settle(root, STEPS)
end

-- A disk below its floor has nothing free for jobs. Others of the machine are heard of at its next beat.
function routing.disk_low(root, machine, data)
  local readable, low = pcall(cjson.decode, data)
  local ord = routing.machine(root, machine)
  if not ord or not readable or type(low) ~= 'table' or type(low.free) ~= 'number' or type(low.floor) ~= 'number' then return end
  local free = math.max(low.free - low.floor, 0)
  local known = redis.call('ZSCORE', root .. ':disk', ord)
  if known and tonumber(known) > free then routing.set_free(root, ord, math.floor(free)) end
end
