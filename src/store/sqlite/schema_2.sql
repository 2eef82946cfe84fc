-- Schema 2. Attributes may be megabytes: in a row of their own they are neither read past nor written
-- again with every login. An account without any has no row.
CREATE TABLE attributes (
    user INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    text TEXT NOT NULL
) STRICT;
INSERT INTO attributes (user, text) SELECT id, attributes FROM users WHERE attributes <> '{}';
ALTER TABLE users DROP COLUMN attributes;

-- Mailed codes: `hash` is keyed, `guesses` are those left.
CREATE TABLE codes (
    id INTEGER PRIMARY KEY,
    purpose TEXT NOT NULL,
    realm TEXT NOT NULL,
    email TEXT NOT NULL,
    hash BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    guesses INTEGER NOT NULL,
    UNIQUE (purpose, realm, email)
) STRICT;
CREATE INDEX codes_by_expiry ON codes (expires_at);

-- Mails that wait to be sent, encrypted. One that is taken falls due again later, in case whoever
-- took it died.
CREATE TABLE mails (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    due_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX mails_by_due ON mails (due_at);
CREATE INDEX mails_by_expiry ON mails (expires_at);
