-- Gives a lease back; does nothing when it is another's.
--
-- KEYS[1]  record   hash, see acquire-lease.lua
-- KEYS[2]  lease    string
-- ARGV[1]  generation
-- ARGV[2]  nonce
--
-- Returns {1} when given back, {0} when there was nothing to give.
local owner = redis.call('HMGET', KEYS[1], 'generation', 'nonce')
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] or ARGV[2] == '' then
  return { 0 }
end
redis.call('HSET', KEYS[1], 'nonce', '')
redis.call('UNLINK', KEYS[2])
return { 1 }
