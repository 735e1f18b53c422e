-- How long tenants that have left are kept. The same as in ../../sqlite; change both together.

-- When the tenant that left is due to be removed, in milliseconds since 1970; null where it is not, or was.
ALTER TABLE departures ADD COLUMN kept_until BIGINT;
CREATE INDEX departures_kept_until ON departures (kept_until);
