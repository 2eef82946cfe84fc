-- Counts a guess at a code, then judges it; a code that was guessed right goes.
-- KEYS: code. ARGV: hash of the guess; now. Answers 1 where it is right.
local code = redis.call('HMGET', KEYS[1], 'hash', 'guesses', 'expires_at')
local hash = code[1]
if not hash or tonumber(code[3]) <= tonumber(ARGV[2]) or tonumber(code[2]) < 1 then
  return 0
end
redis.call('HINCRBY', KEYS[1], 'guesses', -1)
-- Byte by byte to the end, so that no time tells how many are right.
local difference = bit.bxor(#hash, #ARGV[1])
for i = 1, #hash do
  difference = bit.bor(difference, bit.bxor(string.byte(hash, i), string.byte(ARGV[1], i) or 0))
end
if difference ~= 0 then
  return 0
end
redis.call('DEL', KEYS[1])
return 1
