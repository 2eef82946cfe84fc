-- Changes an account as it was read, or says that it is not as it was read.
-- KEYS: user, its sessions. ARGV: version as read; 'keep' or 'remove'; '1' to end the sessions;
-- field, value, …
local version = redis.call('HGET', KEYS[1], 'version')
if not version then
  return 'absent'
end
if version ~= ARGV[1] then
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
