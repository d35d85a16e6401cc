-- Not on these machines: they were found to lack what the job needs. Written by mm_fail, never by a requirement.

rules.define{
  name = 'elsewhere',
  machine = true,
  keys = {},
  read = function() return nil end,
  tokens = function(part)
    local tokens = {}
    for n, machine in ipairs(part) do tokens[n] = '!a:' .. machine end
    return tokens
  end,
  refuse = function() return nil end,
}
