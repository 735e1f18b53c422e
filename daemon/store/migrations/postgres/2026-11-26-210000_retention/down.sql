DROP INDEX departures_kept_until;
ALTER TABLE departures DROP COLUMN kept_until;
