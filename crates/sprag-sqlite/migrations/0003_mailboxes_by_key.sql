-- Format 3: outbox and inbox lie in their index.
--
-- What is put there is soon taken out again, and every message does both. A table with an index of its own has twice the pages
-- to write for that. Sessions stay as they are: they are written over in place, and most would not fit into a page of an
-- index.

ALTER TABLE outbox RENAME TO outbox_with_index;

CREATE TABLE outbox (
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

INSERT INTO outbox SELECT account, key, version, updated_at, bytes FROM outbox_with_index ORDER BY account, key;

DROP TABLE outbox_with_index;

ALTER TABLE inbox RENAME TO inbox_with_index;

CREATE TABLE inbox (
    account    BLOB    NOT NULL,
    key        BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    bytes      BLOB    NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

INSERT INTO inbox SELECT account, key, version, updated_at, bytes FROM inbox_with_index ORDER BY account, key;

DROP TABLE inbox_with_index;
