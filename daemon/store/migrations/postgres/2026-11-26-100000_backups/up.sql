-- Backup plans, and snapshots that are being removed. The same tables as in ../../sqlite; change both together.

CREATE TABLE backup_plans (
    tenant        TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    plan          TEXT NOT NULL,
    -- Counts its changes, from 1.
    version       BIGINT NOT NULL,
    -- When the next snapshot is due; in the past for one that could not begin yet.
    due_at        BIGINT NOT NULL,
    -- When that counts as missed; NULL once this was noted.
    late_at       BIGINT,
    -- When it is looked again which snapshots may go; NULL where all are kept.
    tidy_at       BIGINT,
    -- The newest whole snapshot, what failed since, and the last try to forget snapshots where that failed; as JSON.
    last_whole    TEXT,
    failure       TEXT,
    prune_failure TEXT,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX backup_plans_due ON backup_plans (due_at);
CREATE INDEX backup_plans_tidy ON backup_plans (tidy_at) WHERE tidy_at IS NOT NULL;

-- When the snapshot was due that the operation makes.
ALTER TABLE operations ADD COLUMN due_at BIGINT;
-- The operation that removes it; it cannot be brought back from then on.
ALTER TABLE snapshots ADD COLUMN forgetting TEXT;
-- The operation that removes what is not needed any more, or the last one that did: nothing is read meanwhile.
ALTER TABLE vaults ADD COLUMN pruned_by TEXT;
