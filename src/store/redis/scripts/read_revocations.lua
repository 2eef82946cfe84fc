-- Reads a page of the set, the latest expiry first. KEYS: set, floors, sequence. ARGV: offset; how
-- many at most.
-- Returns the newest number; the concatenated keys; pairs of a count and the end of the second in
-- which as many expire; the floor of each key, or none at all where no key has one.
--
-- By ranks from the end, so that no active entry is missed: purged entries come after all active
-- ones, and entries that are recorded meanwhile come before, or are in the log. Asking for each score
-- would take half the time, since a server writes them as decimal fractions.
local from, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local last = from + most - 1
local keys = redis.call('ZRANGE', KEYS[1], from, last, 'REV')
local runs = {}
local at = 0
while at < #keys do
  if #runs > 64 then
    -- Few expire together: then reading all scores at once is faster.
    local each = redis.call('ZRANGE', KEYS[1], from + at, last, 'REV', 'WITHSCORES')
    for i = 2, #each, 2 do
      runs[#runs + 1] = 1
      runs[#runs + 1] = each[i]
    end
    break
  end
  local second = math.ceil(tonumber(redis.call('ZSCORE', KEYS[1], keys[at + 1])) / 1000) * 1000
  local before = string.format('(%d', second - 1000)
  local known = math.min(redis.call('ZCOUNT', KEYS[1], before, '+inf') - from, #keys)
  runs[#runs + 1] = known - at
  runs[#runs + 1] = string.format('%d', second)
  at = known
end
local floors = {}
if #keys > 0 and redis.call('EXISTS', KEYS[2]) == 1 then
  floors = redis.call('HMGET', KEYS[2], unpack(keys))
end
return { redis.call('GET', KEYS[3]) or '0', table.concat(keys), runs, floors }
