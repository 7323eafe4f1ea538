-- Stores what is known of a job, provided that it is still what the caller knows.
--
-- KEYS[1]  definition  string
-- ARGV[1]  before: what must be there; '' for nothing
-- ARGV[2]  bytes
--
-- Returns {1} when it is stored (also when it was before), {0} when something else is there.
local there = redis.call('GET', KEYS[1]) or ''
if there == ARGV[2] then
  return { 1 }
end
if there ~= ARGV[1] then
  return { 0 }
end
redis.call('SET', KEYS[1], ARGV[2])
return { 1 }
