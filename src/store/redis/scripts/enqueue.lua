-- Queues a mail, and stores its code with older ones of the address; or queues an event.
-- KEYS: mails (events), due, ends, attempts; for a code: the codes of the address.
-- ARGV: id; mail; due; expiry; how many may wait; for a code: its record; time to live (ms).
-- Returns 0 where the queue is full: then nothing has changed.
local id = ARGV[1]
-- A repeat of this very step, whose answer was lost: the code may have been guessed at, and the mail
-- sent, meanwhile.
if KEYS[5] and redis.call('HEXISTS', KEYS[5], id) == 1 then
  return 1
end
if redis.call('HEXISTS', KEYS[1], id) == 0 then
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then
    return 0
  end
  redis.call('HSET', KEYS[1], id, ARGV[2])
  redis.call('ZADD', KEYS[2], ARGV[3], id)
  redis.call('ZADD', KEYS[3], ARGV[4], id)
end
if KEYS[5] then
  local codes = redis.call('HGETALL', KEYS[5])
  for i = 1, #codes, 2 do
    local left, ends = string.match(codes[i + 1], '^(%d+):(%d+):')
    if not left or left == '0' or tonumber(ends) <= tonumber(ARGV[3]) then
      redis.call('HDEL', KEYS[5], codes[i])
    end
  end
  redis.call('HSET', KEYS[5], id, ARGV[6])
  if redis.call('PTTL', KEYS[5]) < tonumber(ARGV[7]) then
    redis.call('PEXPIRE', KEYS[5], ARGV[7])
  end
end
return 1
