-- Records revocations: the set, the log and the sites' generations, in one step.
-- KEYS: set, floors, sequence, log, generation of the store, sites.
-- ARGV: length of the log; '1' for a refill, whose expiries are rounded up to the second; the least
-- expiry of entries that are not here, or ''; then for each: key, floor, expiry, issuer of a site or
-- ''.
-- Returns how many changed anything: the set keeps the highest floor and the latest expiry of a key,
-- and an entry that it has already is not logged again, so that repeats, and several nodes that
-- refill at once, add nothing to the log.
if redis.call('EXISTS', KEYS[3]) == 0 and redis.call('EXISTS', KEYS[4]) == 1 then
  -- The counter was lost alone: the log begins anew, and followers see another store.
  redis.call('DEL', KEYS[4], KEYS[5])
end
local function raise(hash, field, floor)
  local held = redis.call('HGET', hash, field)
  if not held or tonumber(held) < tonumber(floor) then
    redis.call('HSET', hash, field, floor)
    return true
  end
  return false
end
local function second(expires)
  return math.ceil(tonumber(expires) / 1000)
end
local new = 0
for i = 4, #ARGV, 4 do
  local key, floor, expires, site = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local held = redis.call('ZSCORE', KEYS[1], key)
  if not held and ARGV[3] ~= '' and tonumber(expires) < tonumber(ARGV[3]) then
    expires = ARGV[3]
  end
  local changed = not held or tonumber(held) < tonumber(expires)
  if changed and held and ARGV[2] == '1' then
    changed = second(held) < second(expires)
  end
  -- Every change of the set is in the log: a snapshot reads by ranks.
  if changed then
    redis.call('ZADD', KEYS[1], expires, key)
  end
  if floor ~= '0' then
    changed = raise(KEYS[2], key, floor) or changed
  end
  if site ~= '' then
    raise(KEYS[6], site, floor)
  end
  if changed then
    new = new + 1
    local seq = redis.call('INCR', KEYS[3])
    redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[1], string.format('%d-0', seq),
      'key', key, 'floor', floor, 'expires', expires)
  end
end
if new == 0 then
  -- A write all the same: WAIT counts the replicas that have the last write of its own connection
  -- (from Redis 7.2 on), and a repeated entry may have been written by another connection.
  redis.call('INCRBY', KEYS[3], 0)
end
return new
