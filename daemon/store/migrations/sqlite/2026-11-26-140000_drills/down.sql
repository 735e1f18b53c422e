DROP INDEX backup_plans_drill;
ALTER TABLE backup_plans DROP COLUMN drill_failure;
ALTER TABLE backup_plans DROP COLUMN last_drill;
ALTER TABLE backup_plans DROP COLUMN drill_late_at;
ALTER TABLE backup_plans DROP COLUMN drill_due_at;
DROP TABLE drills;
DROP INDEX operations_one_drill;
DROP INDEX operations_one_unfinished;
CREATE UNIQUE INDEX operations_one_unfinished ON operations (tenant) WHERE status IN ('queued', 'running');
