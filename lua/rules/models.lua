-- The machine holds the models, verified. A token is what a model is called by:
--   n:x.safetensors, n:SD15/x.safetensors   the file's name, with as much of its path within the folder as one likes
--   f:loras/SD15/x.safetensors              folder and whole name; unet, clip and t2i_adapter are called as ComfyUI lists them
--   h:<64 or 10 hex digits>                 SHA-256, or AutoV2

local MAX_MODELS, MAX_DECLARED = 64, 600
local CATEGORY = {unet = 'diffusion_models', clip = 'text_encoders', t2i_adapter = 'controlnet'}
local FOLDERS = {
  checkpoints = true, configs = true, loras = true, vae = true, text_encoders = true, diffusion_models = true,
  clip_vision = true, style_models = true, embeddings = true, diffusers = true, vae_approx = true, controlnet = true,
  gligen = true, upscale_models = true, latent_upscale_models = true, hypernetworks = true, photomaker = true,
  classifiers = true, model_patches = true, audio_encoders = true, unet = true, clip = true, t2i_adapter = true,
  custom_nodes = true,
}

local function category(folder) return CATEGORY[folder] or folder end

local function digest_token(value)
  if type(value) ~= 'string' then return nil end
  local hex = string.lower(string.match(value, '^sha256:(%x+)$') or string.match(value, '^autov2:(%x+)$') or value)
  if string.match(hex, '^%x+$') and (#hex == 64 or #hex == 10) then return 'h:' .. hex end
end

local function path_token(path)
  local inner = string.match(path, '^models/(.+)$') or path
  local folder, name = string.match(inner, '^([^/]+)/(.+)$')
  if folder and FOLDERS[folder] then return 'f:' .. category(folder) .. '/' .. name end
  return 'n:' .. inner
end

local function by_text(reference)
  if reference == '' or string.find(reference, '%c') then return nil, 'a model has no name, or one with control characters' end
  if string.find(reference, '^sha256:') or string.find(reference, '^autov2:') then
    local token = digest_token(reference)
    if not token then return nil, "'" .. reference .. "' is no digest" end
    return {token}
  end
  return {path_token(reference)}
end

local function by_parts(reference)
  local tokens = {}
  local name, folder, digest = reference.name or reference.filename, reference.folder, reference.sha256 or reference.hash
  for _, each in pairs{name = name or '', folder = folder or '', path = reference.path or ''} do
    if type(each) ~= 'string' then return nil, 'a model is named by what is no text' end
  end
  if folder and name then tokens[1] = 'f:' .. category(folder) .. '/' .. name
  elseif reference.path then tokens[1] = 'f:' .. string.gsub(reference.path, '^([^/]+)/', function(f) return category(f) .. '/' end)
  elseif name and name ~= '' then tokens[1] = path_token(name) end
  if digest and digest ~= '' then
    local token = digest_token(digest)
    if not token then return nil, 'a model has a digest that is neither a SHA-256 nor an AutoV2' end
    tokens[#tokens + 1] = token
  end
  if #tokens == 0 then return nil, 'a model has no name' end
  return tokens
end

-- How a token is written for people, and in a requirement.
function rules.model_of(token)
  local kind, text = string.sub(token, 1, 2), string.sub(token, 3)
  if kind == 'h:' then return (#text == 64 and 'sha256:' or 'autov2:') .. text end
  return text
end

local function suffixes(name, tokens)
  tokens[#tokens + 1] = 'n:' .. name
  local rest = string.match(name, '^[^/]+/(.+)$')
  local left = 7
  while rest and left > 0 do
    tokens[#tokens + 1] = 'n:' .. rest
    rest, left = string.match(rest, '^[^/]+/(.+)$'), left - 1
  end
end

-- A stored model, `folder/name` and its SHA-256 after a NUL, and the tokens that whoever holds it holds.
function rules.stored_model(folder, name, digest)
  return category(folder) .. '/' .. name .. '\0' .. (#digest == 64 and string.lower(digest) or '')
end

function rules.tokens_of(model)
  local path, digest = string.match(model, '^(.-)%z(.*)$')
  local tokens = {'f:' .. path}
  suffixes(string.match(path, '^[^/]*/(.*)$') or path, tokens)
  if digest ~= '' then
    tokens[#tokens + 1] = 'h:' .. digest
    tokens[#tokens + 1] = 'h:' .. string.sub(digest, 1, 10)
  end
  return tokens
end

-- Declared by a worker: service -> tokens, or 'all'.
local function declared(models)
  if models == nil or models == 'all' then return models end
  if type(models) ~= 'table' then return nil, 'the models are no lists of names' end
  local mine, number = {}, 0
  for service, names in pairs(models) do
    if type(service) ~= 'string' then return nil, 'the models do not stand below the service that has them' end
    if names == 'all' then
      mine[service] = 'all'
    elseif not routing.is_list(names) then
      return nil, 'the models of ' .. service .. ' are no list of names'
    else
      mine[service] = {}
      for _, name in ipairs(names) do
        number = number + 1
        if type(name) ~= 'string' or number > MAX_DECLARED then
          return nil, 'the models of ' .. service .. ' are no list of at most ' .. MAX_DECLARED .. ' names'
        end
        mine[service][#mine[service] + 1] = name
      end
      table.sort(mine[service])
    end
  end
  if next(mine) == nil then mine[''] = {} end
  return mine
end

local function names_match(token, name)
  local kind, text = string.sub(token, 1, 2), string.sub(token, 3)
  if kind == 'h:' then return false end
  if name == text then return true end
  if kind == 'f:' then return path_token(name) == token end
  return #name > #text and string.sub(name, -#text - 1) == '/' .. text
end

local FEW = 4 -- tokens that are looked for one by one
local SHORT = 16 -- names
local NOTHING = {}
local DEEP = 8 -- directories of a token; one with more is looked for in every name

-- All tokens that these names match, but deeper ones.
local function called(names)
  local set = {}
  for _, name in ipairs(names) do
    set['f:' .. name], set['n:' .. name] = true, true
    if string.find(name, '/', 1, true) then
      set[path_token(name)] = true
      local slashes = {}
      for at in string.gmatch(name, '()/') do slashes[#slashes + 1] = at end
      for n = #slashes, math.max(1, #slashes - DEEP), -1 do set['n:' .. string.sub(name, slashes[n] + 1)] = true end
    end
  end
  return set
end

local function any_matches(token, names, set)
  if set then
    if set[token] then return true end
    local _, deep = string.gsub(token, '/', '')
    if deep <= DEEP then return false end
  end
  for _, name in ipairs(names) do
    if names_match(token, name) then return true end
  end
  return false
end

local function is_meant(service, services)
  if #services == 0 then return true end
  for _, each in ipairs(services) do
    if each == service then return true end
  end
  return false
end

-- The names that these services have; `all` for whatever they may be called.
local function names_of(mine, services)
  local found = {}
  for service, names in pairs(mine) do
    local meant = is_meant(service, services)
    if meant and names == 'all' then return 'all' end
    for _, name in ipairs(meant and names or NOTHING) do found[#found + 1] = name end
  end
  return found
end

-- Whether so little is asked of so short a declaration that nothing need be made of it.
local function is_short(part, mine)
  local number = 0
  for _, names in pairs(mine) do number = number + (names == 'all' and 0 or #names) end
  return #part <= FEW and number <= SHORT
end

local function has_all(part, mine, services)
  for _, token in ipairs(part) do
    local found = false
    for service, names in pairs(mine) do
      found = found or is_meant(service, services) and (names == 'all' or any_matches(token, names))
    end
    if not found then return false end
  end
  return true
end

local KEPT = 50 -- declarations of which is remembered what was made of them
local known, remembered = {}, 0

local function declared_for(mine, services)
  if not known[mine] then
    if remembered >= KEPT then known, remembered = {}, 0 end
    known[mine], remembered = {}, remembered + 1
  end
  local key = table.concat(services, '\n')
  local found = known[mine][key]
  if not found then
    found = {names = names_of(mine, services), asked = 0}
    known[mine][key] = found
  end
  return found
end

-- Those of the tokens that none of the names match; all of them if it is told, else the first.
local function not_declared(tokens, found, told)
  local lacking = {}
  for _, token in ipairs(tokens) do
    found.asked = found.asked + 1
    if found.asked > FEW and not found.set then found.set = called(found.names) end
    if string.sub(token, 1, 2) == 'h:' or not any_matches(token, found.names, found.set) then
      lacking[#lacking + 1] = token
      if not told then return lacking end
    end
  end
  return lacking
end

rules.define{
  name = 'models',
  machine = true,
  keys = {'models', 'model'},
  offer_keys = {'models'},
  read = function(given)
    local wanted, seen = {}, {}
    for _, key in ipairs{'models', 'model'} do
      local references = given[key]
      if not routing.is_any(references) then
        if not routing.is_list(references) then references = {references} end
        if #references > MAX_MODELS then return nil, 'it asks for more than ' .. MAX_MODELS .. ' models' end
        for _, reference in ipairs(references) do
          local tokens, why
          if type(reference) == 'string' then tokens, why = by_text(reference)
          elseif type(reference) == 'table' and #reference == 0 then tokens, why = by_parts(reference)
          else why = 'a model is neither a name nor an object' end
          if why then return nil, why end
          for _, token in ipairs(tokens) do
            if not seen[token] then wanted[#wanted + 1] = token end
            seen[token] = true
          end
        end
      end
    end
    if #wanted == 0 then return nil end
    table.sort(wanted)
    return wanted
  end,
  tokens = function(part) return part end,
  offer = function(given) return declared(given.models) end,
  refuse = function(part, mine, _, parts, told)
    if mine == nil or mine == 'all' or not part then return nil end
    local services = parts.service or NOTHING
    if not told and is_short(part, mine) then return not has_all(part, mine, services) end
    local found = declared_for(mine, services)
    if found.names == 'all' then return nil end
    local lacking = not_declared(part, found, told)
    if #lacking == 0 then return nil end
    for n, token in ipairs(lacking) do lacking[n] = rules.model_of(token) end
    return 'it does not declare ' .. table.concat(lacking, ', ')
  end,
  single = function(part)
    local parts = {}
    for n, token in ipairs(part) do parts[n] = {token} end
    return parts
  end,
}
