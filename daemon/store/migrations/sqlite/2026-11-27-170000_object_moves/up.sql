-- What migrations have put into buckets of the tenants that come. The same table as in ../../postgres; change both together.

-- A row is some lines, which are about as many objects; of several lines about an object the last one counts. So a daemon that goes on after
-- one that was killed knows what the migration put there. The rows go once the tenant is here, and with it.
CREATE TABLE object_moves (
    migration TEXT NOT NULL,
    service   TEXT NOT NULL,
    -- The new bucket: its store's host and its name.
    place     TEXT NOT NULL,
    number    BIGINT NOT NULL,
    tenant    TEXT NOT NULL,
    lines     TEXT NOT NULL,
    PRIMARY KEY (migration, service, place, number)
);
CREATE INDEX object_moves_tenant ON object_moves (tenant);
