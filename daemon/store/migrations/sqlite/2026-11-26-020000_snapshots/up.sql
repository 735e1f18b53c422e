-- Tenants' vaults and the snapshots in them. The same tables as in ../../postgres; change both together.

-- A vault outlives its tenant where the tenant's data was to be kept; NULL then.
CREATE TABLE vaults (
    id         TEXT PRIMARY KEY NOT NULL,
    tenant     TEXT,
    sealed_key TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX vaults_tenant ON vaults (tenant);

CREATE TABLE snapshots (
    id     TEXT PRIMARY KEY NOT NULL,
    vault  TEXT NOT NULL REFERENCES vaults (id) ON DELETE CASCADE,
    -- The name at that time.
    tenant TEXT NOT NULL,
    body   TEXT NOT NULL
);
CREATE INDEX snapshots_vault ON snapshots (vault, id);

-- The snapshot that the operation makes, puts in place, or makes a bundle of.
ALTER TABLE operations ADD COLUMN snapshot TEXT;
-- The age recipient that the secrets of a bundle are sealed to.
ALTER TABLE operations ADD COLUMN recipient TEXT;
