-- Identifies the store and its server. KEYS: generation of the store. Returns the generation and the
-- server's replication id; '' where there is none, or its user may not read it.
local info = redis.pcall('INFO', 'replication')
local id = type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or ''
return { redis.call('GET', KEYS[1]) or '', id }
