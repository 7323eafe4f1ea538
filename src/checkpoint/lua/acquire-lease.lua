-- Makes an instance the owner of a job.
--
-- KEYS[1]  record   hash: generation, nonce ('' when given back), instance, last, checkpoint:<id>...
-- KEYS[2]  lease    string: instance of the owner; lives for the time to live
-- ARGV[1]  instance
-- ARGV[2]  nonce
-- ARGV[3]  time to live, ms
-- ARGV[4]  generation at least (exclusive)
-- ARGV[5]  last checkpoint id at least
--
-- Returns {1, generation, last checkpoint id} when acquired, {0, instance of the owner, ms left} when held.
-- The same nonce again gets the same generation again, so that a lost reply does no harm.
local owner = redis.call('HMGET', KEYS[1], 'generation', 'nonce', 'instance', 'last')
local generation = tonumber(owner[1] or '0')
local nonce = owner[2] or ''
local instance = owner[3] or ''
local last = tonumber(owner[4] or '0')

if nonce ~= '' and instance ~= ARGV[1] then
  local left = redis.call('PTTL', KEYS[2])
  if left > 0 then
    return { 0, instance, left }
  end
end

if nonce ~= ARGV[2] or instance ~= ARGV[1] then
  generation = math.max(generation, tonumber(ARGV[4])) + 1
  last = math.max(last, tonumber(ARGV[5]))
  redis.call('HSET', KEYS[1],
    'generation', string.format('%.0f', generation),
    'nonce', ARGV[2],
    'instance', ARGV[1],
    'last', string.format('%.0f', last))
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return { 1, string.format('%.0f', generation), string.format('%.0f', last) }
