ALTER TABLE operations DROP COLUMN migration;
DROP TABLE departures;
DROP TABLE arrivals;
