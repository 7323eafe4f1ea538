-- Applies a part of an epoch, and moves the marker with it.
--
-- KEYS[1]    marker  hash, see outbox-open.lua
-- KEYS[2..]  a key for each record, in order
-- ARGV[1]    nonce
-- ARGV[2]    job id
-- ARGV[3]    generation
-- ARGV[4]    epoch
-- ARGV[5]    records of the epoch before this part
-- ARGV[6]    records of the epoch with this part
-- ARGV[7]    checksum over the records of the epoch with this part
-- ARGV[8]    1 when this part is the last of its epoch, else 0
-- ARGV[9]    time to live of hashes in ms, 0 for none
-- ARGV[10..] for each record: HSET, DEL or XADD, the number of fields, their names and values
--
-- Returns {1} when applied, {2} when the epoch was applied before, {0} when the sink has another owner, {-1, records}
-- when the part does not follow what has been applied.
local key = KEYS[1]
local m = redis.call('HMGET', key, 'nonce', 'job', 'epoch', 'partJob', 'partEpoch', 'partRecords')
if m[1] ~= ARGV[1] then
  return { 0 }
end
if m[2] == ARGV[2] and tonumber(ARGV[4]) <= tonumber(m[3]) then
  return { 2 }
end
local applied = '0'
if m[4] == ARGV[2] and m[5] == ARGV[4] then
  applied = m[6]
end
if applied ~= ARGV[5] then
  return { -1, applied }
end
local at = 10
for i = 2, #KEYS do
  local command = ARGV[at]
  local last = at + 1 + 2 * tonumber(ARGV[at + 1])
  if command == 'DEL' then
    redis.call('DEL', KEYS[i])
  elseif command == 'XADD' then
    redis.call('XADD', KEYS[i], '*', unpack(ARGV, at + 2, last))
  else
    redis.call('HSET', KEYS[i], unpack(ARGV, at + 2, last))
    if ARGV[9] ~= '0' then
      redis.call('PEXPIRE', KEYS[i], ARGV[9])
    end
  end
  at = last + 1
end
if ARGV[8] == '1' then
  redis.call('HSET', key, 'job', ARGV[2], 'generation', ARGV[3], 'epoch', ARGV[4])
  redis.call('HDEL', key, 'partJob', 'partEpoch', 'partRecords', 'partSum')
else
  redis.call('HSET', key, 'partJob', ARGV[2], 'partEpoch', ARGV[4], 'partRecords', ARGV[6], 'partSum', ARGV[7])
end
return { 1 }
