-- Which copies of buckets were made here. The same as in ../../sqlite; change both together.

-- The newest copy of each, also of a snapshot that is not finished yet: the next one goes on from it. Whoever else can write to a vault
-- can put something there that looks like one.
CREATE TABLE bucket_copies (
    vault     TEXT NOT NULL REFERENCES vaults (id) ON DELETE CASCADE,
    service   TEXT NOT NULL,
    bucket    TEXT NOT NULL,
    restic    TEXT NOT NULL,
    -- The one that made it.
    operation TEXT NOT NULL,
    PRIMARY KEY (vault, service, bucket)
);
