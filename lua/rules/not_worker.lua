-- Not by the worker that failed it last, as the running fleet wishes. Written by mm_take_in; mm_find_matching_job minds it.

rules.define{
  name = 'not_worker',
  keys = {},
  read = function() return nil end,
  refuse = function() return nil end,
}
