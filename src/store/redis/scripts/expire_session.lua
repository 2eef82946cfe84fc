-- Deletes a session that has expired, or returns its expiry.
-- KEYS: sessions of the user. ARGV: sid; now.
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then
  return ''
end
local session = cjson.decode(text)
if tonumber(session.expires_at) <= tonumber(ARGV[2]) then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return ''
end
return session.expires_at
