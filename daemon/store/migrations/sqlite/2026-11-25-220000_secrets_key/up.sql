-- The same table as in ../../postgres; change both together.

-- Which key the secrets in the database are sealed to, so that a daemon with another one says so instead of using it.
CREATE TABLE secrets_key (
    -- There is one row.
    id        INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    -- The key's public half, as age writes it.
    recipient TEXT NOT NULL
);
