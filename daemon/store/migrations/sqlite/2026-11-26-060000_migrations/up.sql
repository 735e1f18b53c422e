-- Tenants on their way from one provider to another. The same tables as in ../../postgres; change both together.

-- Tickets that were issued here, and what became of them.
CREATE TABLE arrivals (
    id         TEXT PRIMARY KEY NOT NULL,
    -- The SHA-256 of the ticket's secret.
    token_hash TEXT NOT NULL,
    -- Counts the changes: whoever changes it names the one that was read.
    serial     BIGINT NOT NULL,
    -- What the source asked for, its public key, and that it has stopped for good, each as it came.
    claim      TEXT,
    source_key TEXT,
    handover   TEXT,
    body       TEXT NOT NULL
);

-- Tenants that leave this provider. The row outlives the tenant, as it proves where it went.
CREATE TABLE departures (
    operation     TEXT PRIMARY KEY NOT NULL,
    tenant        TEXT NOT NULL,
    sealed_ticket TEXT NOT NULL,
    body          TEXT NOT NULL
);
CREATE INDEX departures_tenant ON departures (tenant, operation);

-- The migration that the operation is one provider's half of.
ALTER TABLE operations ADD COLUMN migration TEXT;
