-- Looks revocations up. KEYS: set, floors. ARGV: key, …
-- Returns expiry ('' where there is none) and floor of each.
local found = {}
for _, key in ipairs(ARGV) do
  found[#found + 1] = redis.call('ZSCORE', KEYS[1], key) or ''
  found[#found + 1] = redis.call('HGET', KEYS[2], key) or '0'
end
return found
