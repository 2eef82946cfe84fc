-- Queues a mail, and keeps the code that stands in it in the place of an older one.
-- KEYS: mails, due, ends, attempts; the code, if there is one.
-- ARGV: id; mail; due; end; how many may wait; for a code: hash; guesses; end; how long its record
-- is kept (ms). Answers 0 where the queue is full: then nothing has changed.
local id = ARGV[1]
-- A repeat of this very step, whose answer was lost: the code may have been guessed at, and the mail
-- sent, meanwhile.
if KEYS[5] and redis.call('HGET', KEYS[5], 'mail') == id then
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
  redis.call('HSET', KEYS[5], 'hash', ARGV[6], 'guesses', ARGV[7], 'expires_at', ARGV[8],
    'mail', id)
  redis.call('PEXPIRE', KEYS[5], ARGV[9])
end
return 1
