-- Raises a number to at least another. KEYS: the number, or a hash. ARGV: the least; a field of the
-- hash, or ''.
local field = ARGV[2]
local held
if field == '' then
  held = redis.call('GET', KEYS[1])
else
  held = redis.call('HGET', KEYS[1], field)
end
if held and tonumber(held) >= tonumber(ARGV[1]) then
  return 0
end
if field == '' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], field, ARGV[1])
end
return 1
