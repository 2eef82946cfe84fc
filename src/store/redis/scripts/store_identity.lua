-- Which server it is, and whose data it holds. KEYS: generation of the store. Answers the generation
-- and the server's replication id; '' for what there is not, or its user may not know.
local info = redis.pcall('INFO', 'replication')
local id = type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or ''
return { redis.call('GET', KEYS[1]) or '', id }
