-- The same tables as in ../../postgres; change both together.

-- What NixOps4 knows of a tenant's resources. Sealed by the daemon, as it may hold anything.
CREATE TABLE nixops4_states (
    tenant       TEXT PRIMARY KEY NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    -- Absent before the first change.
    document     TEXT,
    -- Names of properties that are secrets although their names do not say so: a JSON array.
    sensitive    TEXT NOT NULL,
    -- Counts the changes.
    serial       BIGINT NOT NULL,
    -- The number of the newest lease; a change that names another one is refused.
    fence        BIGINT NOT NULL,
    -- Who has the lease, as they call themselves, and in words for others; absent when nobody has.
    holder       TEXT,
    held_by      TEXT,
    leased_until BIGINT
);

CREATE TABLE nixops4_changes (
    tenant         TEXT NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    serial         BIGINT NOT NULL,
    at             BIGINT NOT NULL,
    event          TEXT NOT NULL,
    nixops_version TEXT NOT NULL,
    made_by        TEXT NOT NULL,
    -- RFC 6902, as it came; sealed.
    patch          TEXT NOT NULL,
    PRIMARY KEY (tenant, serial)
);
