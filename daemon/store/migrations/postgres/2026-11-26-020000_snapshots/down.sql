ALTER TABLE operations DROP COLUMN recipient;
ALTER TABLE operations DROP COLUMN snapshot;
DROP TABLE snapshots;
DROP TABLE vaults;
