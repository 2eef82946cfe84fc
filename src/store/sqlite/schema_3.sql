-- Schema 3. Several codes of one address live side by side: nobody's request ends another's.
CREATE TABLE codes_3 (
    id INTEGER PRIMARY KEY,
    purpose TEXT NOT NULL,
    realm TEXT NOT NULL,
    email TEXT NOT NULL,
    hash BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    guesses INTEGER NOT NULL
) STRICT;
INSERT INTO codes_3 SELECT id, purpose, realm, email, hash, expires_at, guesses FROM codes;
DROP TABLE codes;
ALTER TABLE codes_3 RENAME TO codes;
CREATE INDEX codes_by_address ON codes (email, realm, purpose);
CREATE INDEX codes_by_expiry ON codes (expires_at);

-- Counts of tries. `ends_at` is in microseconds; past it a row says nothing.
CREATE TABLE tries (
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    PRIMARY KEY (subject, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tries_by_end ON tries (ends_at);

-- When a backup was saved, in a file that came out of one and was not used since.
ALTER TABLE store ADD COLUMN saved_at INTEGER;
