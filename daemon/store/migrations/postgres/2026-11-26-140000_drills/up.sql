-- Drills: snapshots tried out on machines that are free. The same tables as in ../../sqlite; change both together.

CREATE TABLE drills (
    operation TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    tenant    TEXT COLLATE "C" NOT NULL,
    machine   TEXT COLLATE "C" NOT NULL,
    -- Whether the machine is lent, or something may be left on it: it is nobody else's until then.
    lent      BOOLEAN NOT NULL,
    -- Whether an earlier drill may have left something there, which is to go first.
    cleans    BOOLEAN NOT NULL,
    -- What it found, as JSON.
    body      TEXT NOT NULL
);
CREATE INDEX drills_tenant ON drills (tenant, operation);
CREATE UNIQUE INDEX drills_machine ON drills (machine) WHERE lent;

-- When the next drill is due; NULL where the plan has none.
ALTER TABLE backup_plans ADD COLUMN drill_due_at BIGINT;
-- When that counts as missed; NULL once this was noted.
ALTER TABLE backup_plans ADD COLUMN drill_late_at BIGINT;
-- The last drill that passed, and what failed since; as JSON.
ALTER TABLE backup_plans ADD COLUMN last_drill TEXT;
ALTER TABLE backup_plans ADD COLUMN drill_failure TEXT;
CREATE INDEX backup_plans_drill ON backup_plans (drill_due_at) WHERE drill_due_at IS NOT NULL;

-- A drill works on a copy: it and what works on the tenant itself do not wait for each other.
DROP INDEX operations_one_unfinished;
CREATE UNIQUE INDEX operations_one_unfinished ON operations (tenant)
    WHERE status IN ('queued', 'running') AND kind <> 'drill';
CREATE UNIQUE INDEX operations_one_drill ON operations (tenant)
    WHERE status IN ('queued', 'running') AND kind = 'drill';
