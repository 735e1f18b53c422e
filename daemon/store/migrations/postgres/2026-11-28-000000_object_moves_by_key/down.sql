DROP TABLE object_moves;
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
