-- A machine that is bound to one workflow takes only its jobs. The workflow of a job is known here while some offer names it.

rules.define{
  name = 'workflow',
  keys = {},
  offer_keys = {'workflow_id'},
  read = function() return nil end,
  offer = function(given)
    local id = given.workflow_id
    if id == nil or id == '' or id == 'all' then return nil end
    if type(id) ~= 'string' then return nil, 'workflow_id is no text' end
    return id
  end,
  refuse = function(part, mine)
    if mine and part ~= mine then return "it takes only jobs of the workflow '" .. mine .. "'" end
  end,
}
