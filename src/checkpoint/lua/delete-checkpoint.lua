-- Removes a checkpoint's manifest; its chunks are removed afterwards, plainly.
--
-- KEYS[1]  record    hash, see acquire-lease.lua
-- KEYS[2]  manifest  string: the manifest of this checkpoint
-- ARGV[1]  generation
-- ARGV[2]  nonce
-- ARGV[3]  checkpoint id
--
-- Returns {1} when it is gone (also when it was before), {0, generation of the owner or ''} when the lease is
-- another's, {-1} when the job is unknown.
local owner = redis.call('HMGET', KEYS[1], 'generation', 'nonce')
if not owner[1] then
  return { -1 }
end
if owner[2] == '' then
  return { 0, '' }
end
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] then
  return { 0, owner[1] }
end
redis.call('HDEL', KEYS[1], 'checkpoint:' .. ARGV[3])
redis.call('UNLINK', KEYS[2])
return { 1 }
