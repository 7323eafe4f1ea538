-- Makes a caller the owner of a job's sink.
--
-- KEYS[1]  marker  hash: ownerJob, ownerGeneration, nonce; job, generation, epoch of the newest epoch applied;
--                  partJob, partEpoch, partRecords, partSum of one that has been applied in part
-- ARGV[1]  job id
-- ARGV[2]  generation
-- ARGV[3]  nonce
--
-- Returns {1, job id, generation, epoch, part job id, part epoch, part records, part sum}, '' where there is none, or
-- {0, generation} when a newer generation of the same job has been here.
local m = redis.call('HMGET', KEYS[1], 'ownerJob', 'ownerGeneration')
if m[1] == ARGV[1] and tonumber(m[2]) > tonumber(ARGV[2]) then
  return { 0, m[2] }
end
redis.call('HSET', KEYS[1], 'ownerJob', ARGV[1], 'ownerGeneration', ARGV[2], 'nonce', ARGV[3])
local found = redis.call('HMGET', KEYS[1], 'job', 'generation', 'epoch', 'partJob', 'partEpoch', 'partRecords', 'partSum')
local reply = { 1 }
for i = 1, 7 do
  reply[i + 1] = found[i] or ''
end
return reply
