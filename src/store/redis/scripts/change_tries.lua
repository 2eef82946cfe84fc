-- Takes a try from each count of a subject, or from none; or gives one back to each.
-- KEYS: counts. ARGV: 'take' or 'back'; now (µs); then for each: name; 'window' or 'rate'; how many
-- at once; window, or interval of the rate (µs).
-- Returns how long to wait (µs), 0 where the tries were taken; and how many are left ('' for rates).
local now = tonumber(ARGV[2])
local wait, left, latest = 0, '', 0
local set, gone = {}, {}
local function keep(name, count, ends)
  set[#set + 1] = name
  set[#set + 1] = string.format('%.0f:%.0f', count, ends)
  latest = math.max(latest, ends)
end
for i = 3, #ARGV, 4 do
  local name, most, span = ARGV[i], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local held = redis.call('HGET', KEYS[1], name)
  local count, ends = string.match(held or '', '^(%d+):(%d+)$')
  count, ends = tonumber(count or 0), tonumber(ends or now)
  if ARGV[i + 1] == 'window' then
    if ARGV[1] == 'back' then
      if count > 1 and ends > now then keep(name, count - 1, ends) else gone[#gone + 1] = name end
    else
      ends = math.min(ends, now + span)
      if ends <= now then
        count, ends = 0, now + span
      end
      if count >= most then
        wait = math.max(wait, ends - now)
      else
        keep(name, count + 1, ends)
        left = math.min(tonumber(left) or most, most - count - 1)
      end
    end
  elseif ARGV[1] == 'back' then
    if ends - span > now then keep(name, 0, ends - span) else gone[#gone + 1] = name end
  else
    -- The budget is full again no later than a whole burst from now.
    ends = math.min(math.max(ends, now), now + span * most) + span
    wait = math.max(wait, ends - now - span * most)
    keep(name, 0, ends)
  end
end
if wait > 0 then
  return { string.format('%.0f', wait), '' }
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
end
if #set > 0 then
  redis.call('HSET', KEYS[1], unpack(set))
  local kept = math.ceil((latest - now) / 1000) + 60000
  if redis.call('PTTL', KEYS[1]) < kept then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', kept))
  end
  -- Expired counts are deleted now and then: an account can be tried from any number of networks.
  if redis.call('HLEN', KEYS[1]) % 256 == 0 then
    local all = redis.call('HGETALL', KEYS[1])
    for i = 1, #all, 2 do
      if tonumber(string.match(all[i + 1], ':(%d+)$') or 0) <= now then
        redis.call('HDEL', KEYS[1], all[i])
      end
    end
  end
end
return { '0', tostring(left) }
