-- Claims a name (email address or user name) for an account that is about to be made.
-- KEYS: index of the name. ARGV: number of the account; the dangling claim that may be replaced.
-- Returns {1, claimed at} or {0, its claim, now}.
local clock = redis.call('TIME')
local now = string.format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000))
local held = redis.call('GET', KEYS[1])
if not held or (ARGV[2] ~= '' and held == ARGV[2]) then
  redis.call('SET', KEYS[1], ARGV[1] .. ':' .. now)
  return { 1, now }
end
-- A repeat of this very step, whose answer was lost.
local id, claimed_at = string.match(held, '^(%d+):(%d+)$')
if id == ARGV[1] then
  return { 1, claimed_at }
end
return { 0, held, now }
