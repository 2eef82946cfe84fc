-- Changes an account, unless it has changed since it was read.
-- KEYS: user, its sessions. ARGV: version as read, '' where there is none; 'keep' or 'remove'; '1' to
-- end the sessions; field, value, …
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
  return 'absent'
end
-- A damaged record may have no version, and a key to be removed may have another type.
if kind == 'hash' and (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then
  return 'changed'
end
if ARGV[2] == 'remove' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], unpack(ARGV, 4))
  redis.call('HINCRBY', KEYS[1], 'version', 1)
end
if ARGV[3] == '1' then
  redis.call('DEL', KEYS[2])
end
return 'done'
