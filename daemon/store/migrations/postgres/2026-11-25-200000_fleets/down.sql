DROP TABLE rollout_events;
DROP TABLE rollout_tenants;
DROP TABLE rollouts;
ALTER TABLE operations DROP COLUMN rollout;
DROP INDEX tenants_check;
ALTER TABLE tenants DROP COLUMN check_at;
ALTER TABLE tenants DROP COLUMN condition;
ALTER TABLE tenants DROP COLUMN platform;
