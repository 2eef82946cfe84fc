-- Exchanges a refresh token, which is known to be of the session, for its successor.
-- KEYS: user, its sessions. ARGV: sid; presented; successor; sealed successor; now; expiry;
-- grace; floor that is recorded for the user; '1' where no change is in progress.
local text = redis.call('HGET', KEYS[2], ARGV[1])
if not text then
  return { 'refused', '' }
end
local session = cjson.decode(text)
local now = tonumber(ARGV[5])
if tonumber(session.expires_at) <= now then
  return { 'refused', '' }
end
-- As in open_session: the generation rises to the floor, and the sessions end.
local generation = redis.call('HGET', KEYS[1], 'generation')
if generation and tonumber(generation) < tonumber(ARGV[8]) then
  if ARGV[9] ~= '1' then
    return { 'behind', '' }
  end
  redis.call('HSET', KEYS[1], 'generation', ARGV[8])
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  redis.call('DEL', KEYS[2])
  return { 'refused', '' }
end
if session.current == ARGV[2] then
  session.parent = ARGV[2]
  session.current = ARGV[3]
  session.sealed = ARGV[4]
  session.rotated_at = ARGV[5]
  session.last_used_at = ARGV[5]
  session.expires_at = ARGV[6]
  if tonumber(session.ends_at) < tonumber(ARGV[6]) then
    session.expires_at = session.ends_at
  end
  text = cjson.encode(session)
  redis.call('HSET', KEYS[2], ARGV[1], text)
  return { 'rotated', text }
end
if session.parent == ARGV[2] then
  -- A repeat of this very step, whose answer was lost.
  if session.current == ARGV[3] then
    return { 'rotated', text }
  end
  if now - tonumber(session.rotated_at) <= tonumber(ARGV[7]) then
    return { 'repeated', text }
  end
end
return { 'reused', '' }
