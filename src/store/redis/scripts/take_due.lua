-- Takes mails that are due, longest due first, and makes them due again later.
-- KEYS: mails, due, ends, attempts. ARGV: now; when they are due again; how many at most.
-- Returns id, mail, number of earlier takes, and expiry of each.
local now = tonumber(ARGV[1])
local taken = {}
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(due) do
  local mail = redis.call('HGET', KEYS[1], id)
  local ends = tonumber(redis.call('ZSCORE', KEYS[3], id) or 0)
  if mail and ends > now then
    local attempts = redis.call('HINCRBY', KEYS[4], id, 1) - 1
    redis.call('ZADD', KEYS[2], ARGV[2], id)
    taken[#taken + 1] = { id, mail, attempts, string.format('%d', ends) }
  else
    -- Expired, or damaged by hand: it must not hold up others.
    redis.call('HDEL', KEYS[1], id)
    redis.call('ZREM', KEYS[2], id)
    redis.call('ZREM', KEYS[3], id)
    redis.call('HDEL', KEYS[4], id)
  end
end
return taken
