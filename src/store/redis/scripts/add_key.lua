-- Adds a signing key unless there is one of its algorithm.
-- KEYS: keys of the site. ARGV: algorithm; kid; record.
local prefix = ARGV[1] .. ':'
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, #prefix) == prefix then
    return 0
  end
end
return redis.call('HSET', KEYS[1], prefix .. ARGV[2], ARGV[3])
