-- Makes a checkpoint exist.
--
-- KEYS[1]  record    hash, see acquire-lease.lua
-- KEYS[2]  manifest  string: the manifest of this checkpoint
-- ARGV[1]  generation
-- ARGV[2]  nonce
-- ARGV[3]  checkpoint id
-- ARGV[4]  manifest, bytes
-- ARGV[5]  highest checkpoint id that the caller knows to be published
--
-- Returns {1} when it exists (also when it did before, with the same bytes), {0, generation of the owner or ''} when
-- the lease is another's, {-1} when the job is unknown, {-2, last id} when the id is not above the last one published,
-- {-3, last id} when the record has gone back behind what the caller knows.
local owner = redis.call('HMGET', KEYS[1], 'generation', 'nonce', 'last')
if not owner[1] then
  return { -1 }
end
if owner[2] == '' then
  return { 0, '' }
end
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] then
  return { 0, owner[1] }
end
if tonumber(owner[3]) < tonumber(ARGV[5]) then
  return { -3, owner[3] }
end
if tonumber(ARGV[3]) <= tonumber(owner[3]) then
  if redis.call('GET', KEYS[2]) == ARGV[4] then
    return { 1 }
  end
  return { -2, owner[3] }
end
redis.call('SET', KEYS[2], ARGV[4])
redis.call('HSET', KEYS[1], 'last', ARGV[3], 'checkpoint:' .. ARGV[3], '1')
return { 1 }
