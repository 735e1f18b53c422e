-- Times are milliseconds since 1970 in UTC, ids are UUIDs as text, hashes are bytes, JSON is text.
-- The same tables as in ../../postgres; change both together.

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    scope      TEXT NOT NULL,
    -- The tenant that the scope is confined to.
    tenant     TEXT,
    hash       BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX tokens_tenant ON tokens (tenant) WHERE tenant IS NOT NULL;
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE machines (
    name          TEXT PRIMARY KEY NOT NULL,
    spec          TEXT NOT NULL,
    facts         TEXT,
    holds_data_of TEXT,
    created_at    BIGINT NOT NULL
);

CREATE TABLE tenants (
    name              TEXT PRIMARY KEY NOT NULL,
    domain            TEXT NOT NULL,
    machine           TEXT NOT NULL REFERENCES machines (name),
    spec              TEXT NOT NULL,
    version           BIGINT NOT NULL,
    deployed_revision TEXT,
    deployed_system   TEXT,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL
);
CREATE UNIQUE INDEX tenants_domain ON tenants (domain);
CREATE UNIQUE INDEX tenants_machine ON tenants (machine);

CREATE TABLE revisions (
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    spec       TEXT NOT NULL,
    files      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX revisions_age ON revisions (tenant, created_at, id);

-- Operations outlive their tenant: what happened stays known.
CREATE TABLE operations (
    id               TEXT PRIMARY KEY NOT NULL,
    tenant           TEXT NOT NULL,
    machine          TEXT NOT NULL,
    kind             TEXT NOT NULL,
    wipe             BOOLEAN NOT NULL,
    status           TEXT NOT NULL,
    revision         TEXT,
    system           TEXT,
    cancel_requested BOOLEAN NOT NULL,
    error            TEXT,
    requested_by     TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    started_at       BIGINT,
    finished_at      BIGINT,
    last_seq         BIGINT NOT NULL
);
CREATE UNIQUE INDEX operations_one_unfinished ON operations (tenant) WHERE status IN ('queued', 'running');
CREATE INDEX operations_tenant ON operations (tenant, id);
CREATE INDEX operations_status ON operations (status, id);

CREATE TABLE steps (
    operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    name         TEXT NOT NULL,
    status       TEXT NOT NULL,
    started_at   BIGINT,
    finished_at  BIGINT,
    progress     TEXT,
    PRIMARY KEY (operation_id, position)
);

CREATE TABLE events (
    operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    seq          BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    kind         TEXT NOT NULL,
    body         TEXT NOT NULL,
    PRIMARY KEY (operation_id, seq)
) WITHOUT ROWID;

CREATE TABLE idempotency (
    token       TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    -- Sealed by the API with a key that only the caller's secret yields.
    reply       BLOB NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (token, key)
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

CREATE TABLE watch_links (
    hash         BLOB PRIMARY KEY NOT NULL,
    operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX watch_links_expiry ON watch_links (expires_at);
CREATE INDEX watch_links_operation ON watch_links (operation_id);
