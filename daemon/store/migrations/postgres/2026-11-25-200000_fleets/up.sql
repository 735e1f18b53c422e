-- Rollouts over many tenants, and what checks of tenants found. The same tables as in ../../sqlite; change both together.

-- The platform that the tenant's machine was committed to last; NULL where that was before this column, and its revision
-- tells.
ALTER TABLE tenants ADD COLUMN platform TEXT;
-- What the last check found, as JSON; NULL since the last deployment.
ALTER TABLE tenants ADD COLUMN condition TEXT;
-- When the next check is due; NULL for as soon as possible.
ALTER TABLE tenants ADD COLUMN check_at BIGINT;
CREATE INDEX tenants_check ON tenants (check_at);

-- The rollout that the operation belongs to.
ALTER TABLE operations ADD COLUMN rollout TEXT COLLATE "C";

CREATE TABLE rollouts (
    id                TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    status            TEXT NOT NULL,
    spec              TEXT NOT NULL,
    platform          TEXT,
    wave              INTEGER NOT NULL,
    cancel_operations BOOLEAN NOT NULL,
    error             TEXT,
    requested_by      TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    finished_at       BIGINT,
    last_seq          BIGINT NOT NULL
);
CREATE INDEX rollouts_unfinished ON rollouts (id) WHERE status IN ('running', 'paused', 'aborting');

-- A tenant may be gone by the time that its turn comes.
CREATE TABLE rollout_tenants (
    rollout_id   TEXT COLLATE "C" NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    tenant       TEXT COLLATE "C" NOT NULL,
    wave         INTEGER NOT NULL,
    state        TEXT NOT NULL,
    operation_id TEXT,
    problem      TEXT,
    PRIMARY KEY (rollout_id, position)
);

CREATE TABLE rollout_events (
    rollout_id TEXT COLLATE "C" NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
    seq        BIGINT NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (rollout_id, seq)
);
