-- The same change as in ../../postgres; change both together.

-- The number of the newest claim of an operation on this machine. It grows at every claim, and the machine refuses
-- whoever comes with an older one.
ALTER TABLE machines ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;

-- Which daemon runs the operation, and until when it may think so without asking.
ALTER TABLE operations ADD COLUMN lease_owner TEXT;
ALTER TABLE operations ADD COLUMN lease_until BIGINT;
-- The number of the newest claim; who comes with another one does not hold the operation any more.
ALTER TABLE operations ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;
-- Counts what the holder wrote, so that a write whose answer was lost is recognised when it comes again.
ALTER TABLE operations ADD COLUMN writes BIGINT NOT NULL DEFAULT 0;
