-- Schema 1. Times are milliseconds since 1970 (UTC); lists and attributes are JSON. There are files
-- of it: what changes is a migration of its own.

PRAGMA application_id = 1299541610; -- "Munj"

-- One row: a database that was wiped or swapped has another id.
CREATE TABLE store (
    id TEXT NOT NULL
) STRICT;
INSERT INTO store (id) VALUES (lower(hex(randomblob(16))));

-- AUTOINCREMENT: a number is never given twice, whatever was removed.
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    realm TEXT NOT NULL,
    email TEXT,
    email_verified INTEGER NOT NULL DEFAULT 0,
    username TEXT,
    verifier TEXT,
    roles TEXT NOT NULL,
    permissions TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    generation INTEGER NOT NULL DEFAULT 0,
    attributes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_login_at INTEGER,
    UNIQUE (realm, email),
    UNIQUE (realm, username)
) STRICT;
CREATE INDEX users_by_realm ON users (realm);

-- `newest` took the place of `parent` at `rotated_at`; `sealed` is its token, readable only with
-- the parent's.
CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    realm TEXT NOT NULL,
    issuer TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent TEXT,
    newest BLOB,
    parent BLOB,
    rotated_at INTEGER,
    sealed BLOB
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user, issuer);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Every refresh token that a session ever had, as its SHA-256.
CREATE TABLE refresh (
    hash BLOB PRIMARY KEY,
    session BLOB NOT NULL REFERENCES sessions (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_by_session ON refresh (session);

-- `seq` is the feed's order; a revocation recorded again takes a new one. `kind`, `scope` and
-- `name` are for people: only `key` is looked up.
CREATE TABLE revocations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    floor INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL
) STRICT;
CREATE INDEX revocations_by_expiry ON revocations (expires_at);

CREATE TABLE sites (
    issuer TEXT PRIMARY KEY,
    generation INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    issuer TEXT NOT NULL,
    kid TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    material BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (issuer, kid)
) STRICT;
