-- Reads a part of the set. KEYS: set, floors, sequence. ARGV: cursor; about how many.
-- Answers the next cursor, the newest number, and key, expiry and floor of each entry.
local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local members = page[2]
local found = {}
for i = 1, #members, 2 do
  found[#found + 1] = members[i]
  found[#found + 1] = members[i + 1]
  found[#found + 1] = redis.call('HGET', KEYS[2], members[i]) or '0'
end
return { page[1], redis.call('GET', KEYS[3]) or '0', found }
