-- Schema 4. What operators changed by verbs, until a gateway has written it to its audit trail. One
-- that is taken falls due again later, in case whoever took it died. `id` is in the order of time.
CREATE TABLE events (
    id BLOB PRIMARY KEY,
    due_at INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
