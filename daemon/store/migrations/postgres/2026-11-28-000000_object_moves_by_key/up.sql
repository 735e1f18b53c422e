-- What migrations have put into buckets of the tenants that come. The same table as in ../../sqlite but for the type of the key; change both together.

-- A row is what is known of one object, and takes the place of what was known before. So a daemon that goes on after one that was killed
-- knows what the migration put there, and reads it in the order in which stores list objects: by the bytes of their keys, which may be any.
-- The rows go once the tenant is here, and with it. Of a migration that is under way, what was known until now is lost: what is gone from the
-- old bucket then stays in the new one.
DROP TABLE object_moves;
CREATE TABLE object_moves (
    migration TEXT NOT NULL,
    service   TEXT NOT NULL,
    -- The new bucket: its store's host and its name.
    place     TEXT NOT NULL,
    key       BYTEA NOT NULL,
    tenant    TEXT NOT NULL,
    noted     TEXT NOT NULL,
    PRIMARY KEY (migration, service, place, key)
);
CREATE INDEX object_moves_tenant ON object_moves (tenant);
