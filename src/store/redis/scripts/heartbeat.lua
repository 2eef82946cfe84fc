-- A heartbeat: a write, so that a fenced old primary cannot report contact.
-- KEYS: this node's beat, generation of the store, sequence. ARGV: a generation for a store that
-- has none; time to live of the beat (ms). Returns the generation, the newest number, and the
-- server's replication id; '' where its user may not read it.
redis.call('SET', KEYS[2], ARGV[1], 'NX')
redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
local info = redis.pcall('INFO', 'replication')
local id = type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or ''
return { redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]) or '0', id }
