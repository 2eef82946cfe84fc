-- Counts a guess against each code of an address, then judges it; a right one deletes them all.
-- KEYS: codes. ARGV: hash of the guess; now. Returns 1 where it is right.
local codes = redis.call('HGETALL', KEYS[1])
local right = false
for i = 1, #codes, 2 do
  local left, ends, hash = string.match(codes[i + 1], '^(%d+):(%d+):(%x+)$')
  if hash and tonumber(left) > 0 and tonumber(ends) > tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], codes[i], string.format('%d:%s:%s', left - 1, ends, hash))
    -- Digit by digit to the end, so that the time does not depend on the number of right ones.
    local difference = bit.bxor(#hash, #ARGV[1])
    for at = 1, #hash do
      local other = string.byte(ARGV[1], at) or 0
      difference = bit.bor(difference, bit.bxor(string.byte(hash, at), other))
    end
    right = right or difference == 0
  end
end
if right then
  redis.call('DEL', KEYS[1])
  return 1
end
return 0
