-- A heartbeat: a write, so that a fenced old primary cannot vouch for the log.
-- KEYS: this node's beat, generation of the store, sequence. ARGV: a generation for a store that
-- has none; how long the beat is kept (ms). Answers the generation and the newest number.
redis.call('SET', KEYS[2], ARGV[1], 'NX')
redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
return { redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]) or '0' }
