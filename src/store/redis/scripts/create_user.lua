-- Makes an account whose names are claimed, unless the claims may have been taken over since.
-- KEYS: user. ARGV: latest instant at which the claims are surely valid; field, value, …
local clock = redis.call('TIME')
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 1
end
if clock[1] * 1000 + math.floor(clock[2] / 1000) > tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
