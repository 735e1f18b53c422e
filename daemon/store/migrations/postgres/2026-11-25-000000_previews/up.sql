-- The same table as in ../../sqlite; change both together.

-- What an operation of the kind `preview` was asked about, and what it found.
CREATE TABLE previews (
    operation_id TEXT PRIMARY KEY NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    tenant       TEXT NOT NULL,
    -- The tenant as it would be; forgotten as soon as the operation has ended.
    spec         TEXT,
    result       TEXT
);
CREATE INDEX previews_tenant ON previews (tenant, operation_id);
