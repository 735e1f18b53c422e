ALTER TABLE vaults DROP COLUMN pruned_by;
ALTER TABLE snapshots DROP COLUMN forgetting;
ALTER TABLE operations DROP COLUMN due_at;
DROP TABLE backup_plans;
