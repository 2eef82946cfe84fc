-- Releases a name, if that account still holds it.
-- KEYS: index of the name. ARGV: number of the account.
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^(%d+):') == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
