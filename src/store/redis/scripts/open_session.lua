-- Opens a session for an account that is unchanged since the login read it.
-- KEYS: user, its sessions. ARGV: sid; record; generation at the login; floor that is recorded;
-- now; '1' to replace the issuer's other sessions; issuer; '1' where no change is in progress; the
-- others that are revoked already, …
local account = redis.call('HMGET', KEYS[1], 'enabled', 'generation')
if account[1] ~= '1' then
  return 'refused'
end
-- A floor above the generation belongs to a change that was cut short after its revocation, or that a
-- fail-over has lost: the generation rises to it, or every new token of the account would be refused,
-- and the sessions end, since the change may have ended them.
if tonumber(account[2]) < tonumber(ARGV[4]) then
  if ARGV[8] ~= '1' then
    return 'behind'
  end
  redis.call('HSET', KEYS[1], 'generation', ARGV[4])
  redis.call('HINCRBY', KEYS[1], 'version', 1)
  redis.call('DEL', KEYS[2])
  return 'refused'
end
if account[2] ~= ARGV[3] then
  return 'refused'
end
if ARGV[6] == '1' then
  local revoked = {}
  for i = 9, #ARGV do
    revoked[ARGV[i]] = true
  end
  local sessions = redis.call('HGETALL', KEYS[2])
  local others = {}
  for i = 1, #sessions, 2 do
    local sid = sessions[i]
    local session = cjson.decode(sessions[i + 1])
    if sid ~= ARGV[1] and session.issuer == ARGV[7] then
      local live = tonumber(session.expires_at) > tonumber(ARGV[5])
      if live and not revoked[sid] then
        return 'changed'
      end
      others[#others + 1] = sid
    end
  end
  for _, sid in ipairs(others) do
    redis.call('HDEL', KEYS[2], sid)
  end
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[1], 'last_login_at', ARGV[5])
return 'opened'
