-- Format 2: parts of sessions in a table of their own, and the operations of a transaction in one row.

-- As all tables of records.
CREATE TABLE session_part (
    id         INTEGER PRIMARY KEY,
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    UNIQUE (account, key)
) STRICT;

-- `operations` holds the ids of all commits of a transaction, 16 bytes each. `sequence` counts operations, and is that of the
-- last one in the row; the oldest rows are removed some hundreds of operations at a time.
ALTER TABLE operation RENAME COLUMN operation TO operations;
