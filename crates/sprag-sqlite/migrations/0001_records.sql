-- Format 1: one table for each kind of record, and the latest operations.
--
-- account     16 opaque bytes, whose record it is
-- key         0 to 64 opaque bytes, compared as unsigned bytes
-- version     a random 64-bit number other than zero, as a two's complement integer; never recurs for a key
--             with another content
-- updated_at  milliseconds since 1970 by the clock of the writer, for the eyes of operators; nothing depends on it
-- bytes       the record, opaque (sealed by whoever called); last, so that the columns before it are found on the
--             first page of a long row
--
-- A row is updated by its id, which leaves the index alone.

CREATE TABLE header (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE account (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE session (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE identity (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE pre_key (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE signed_pre_key (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE kyber_pre_key (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE kyber_use (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE sender_key (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE inbox (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE directory (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

CREATE TABLE counter (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

-- The ids of the latest commits, by which an unknown outcome is resolved. `sequence` rises; the oldest rows are removed
-- some hundreds at a time. An id is sought so rarely that it needs no index.
CREATE TABLE operation (
    sequence  INTEGER PRIMARY KEY,
    operation BLOB    NOT NULL
) STRICT;
