-- One account to a file, so our own identity is one row.
CREATE TABLE IF NOT EXISTS own (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    key_pair        BLOB    NOT NULL,
    registration_id INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS identity (
    name         TEXT    NOT NULL,
    device       INTEGER NOT NULL,
    identity_key BLOB    NOT NULL,
    PRIMARY KEY (name, device)
) STRICT;

CREATE TABLE IF NOT EXISTS session (
    name   TEXT    NOT NULL,
    device INTEGER NOT NULL,
    record BLOB    NOT NULL,
    PRIMARY KEY (name, device)
) STRICT;

CREATE TABLE IF NOT EXISTS pre_key (
    id     INTEGER PRIMARY KEY,
    record BLOB    NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS signed_pre_key (
    id     INTEGER PRIMARY KEY,
    record BLOB    NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS kyber_pre_key (
    id          INTEGER PRIMARY KEY,
    record      BLOB    NOT NULL,
    last_resort INTEGER NOT NULL
) STRICT;

-- What keys of last resort were used for. It goes with the key, and not before.
CREATE TABLE IF NOT EXISTS kyber_use (
    kyber_pre_key  INTEGER NOT NULL REFERENCES kyber_pre_key (id) ON DELETE CASCADE,
    signed_pre_key INTEGER NOT NULL,
    base_key       BLOB    NOT NULL,
    PRIMARY KEY (kyber_pre_key, signed_pre_key, base_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sender_key (
    name         TEXT    NOT NULL,
    device       INTEGER NOT NULL,
    distribution BLOB    NOT NULL,
    record       BLOB    NOT NULL,
    PRIMARY KEY (name, device, distribution)
) STRICT;

-- Plaintexts that the application has not taken yet, by sender and encrypted message.
CREATE TABLE IF NOT EXISTS inbox (
    name      TEXT    NOT NULL,
    device    INTEGER NOT NULL,
    message   BLOB    NOT NULL,
    plaintext BLOB    NOT NULL,
    PRIMARY KEY (name, device, message)
) STRICT;
