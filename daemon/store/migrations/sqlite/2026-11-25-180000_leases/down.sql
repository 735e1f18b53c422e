ALTER TABLE operations DROP COLUMN writes;
ALTER TABLE operations DROP COLUMN fence;
ALTER TABLE operations DROP COLUMN lease_until;
ALTER TABLE operations DROP COLUMN lease_owner;
ALTER TABLE machines DROP COLUMN fence;
