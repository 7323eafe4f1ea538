-- Keeps a lease, also one that has run out and that nobody has taken.
--
-- KEYS[1]  record   hash, see acquire-lease.lua
-- KEYS[2]  lease    string
-- ARGV[1]  generation
-- ARGV[2]  nonce
-- ARGV[3]  time to live, ms
--
-- Returns {1} when renewed, {0, generation of the owner or ''} when it is another's, {-1} when the job is unknown.
local owner = redis.call('HMGET', KEYS[1], 'generation', 'nonce', 'instance')
if not owner[1] then
  return { -1 }
end
if owner[2] == '' then
  return { 0, '' }
end
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] then
  return { 0, owner[1] }
end
redis.call('SET', KEYS[2], owner[3], 'PX', ARGV[3])
return { 1 }
