-- What a copy that follows could get wrong, changed at random; each statement is a transaction of its own.
INSERT INTO "Odd ""T]" ("we[ird", b, j, js, m, p, bt, vb, t, f, n, ts, i, u, o, r, ip, c)
  SELECT CASE WHEN s % 3 = 0 THEN NULL ELSE ARRAY['x''y', E'n\nl\t\r', NULL, '\', 'q"' || s] END, decode(md5(random()::text), 'hex'),
    '{"a": "'':\\ ü"}', '{ "b" : [1, null] }', (ARRAY['sad', 'it''s ok: [1]'])[1 + s % 2]::mood, 1 + s, B'101', B'10101',
    repeat(md5(random()::text), 200), random() * 1e10 - 1e9, CASE WHEN s = 1 THEN 'NaN' ELSE -1.50 END, clock_timestamp(), '1 mon -2 days',
    gen_random_uuid(), s % 2 = 0, '[1,5)', '10.0.0.1/24', 'ab'
  FROM generate_series(1, 5) s;
UPDATE "Odd ""T]" SET p = p + 1 WHERE random() < 0.3;
UPDATE "Odd ""T]" SET t = NULL, c = E'\\.' WHERE random() < 0.05;
UPDATE "Odd ""T]" SET t = repeat(md5(random()::text), 300) WHERE random() < 0.1;
DELETE FROM "Odd ""T]" WHERE random() < 0.1;

INSERT INTO pairs SELECT (random() * 50)::int, 'b''' || (random() * 50)::int, 'new' FROM generate_series(1, 5)
  ON CONFLICT (a, b) DO UPDATE SET v = pairs.v || '.';
UPDATE pairs SET a = a + 1000, b = b || 'x' WHERE random() < 0.05 AND length(b) < 20 AND NOT EXISTS (SELECT 1 FROM children c WHERE c.a = pairs.a AND c.b = pairs.b);
INSERT INTO children (a, b) SELECT a, b FROM pairs WHERE random() < 0.1;
DELETE FROM pairs WHERE random() < 0.05;
DO $$ BEGIN IF random() < 0.1 THEN TRUNCATE pairs CASCADE; END IF; END $$;

INSERT INTO log (what) SELECT 'line ' || s FROM generate_series(1, 20) s;
DO $$ BEGIN IF random() < 0.2 THEN TRUNCATE log RESTART IDENTITY; END IF; END $$;

INSERT INTO "Böse" SELECT (random() * 1e6)::int, E'\\\'; \\! touch /tmp/mischief \n--\t😀ä' FROM generate_series(1, 5) ON CONFLICT DO NOTHING;
UPDATE "Böse" SET v = v || E'\\''' WHERE random() < 0.1 AND length(v) < 60;

INSERT INTO parts (id, v) SELECT (random() * 2000)::int, random()::text FROM generate_series(1, 5) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
UPDATE parts SET id = (id + 1000) % 2000 WHERE random() < 0.02 AND NOT EXISTS (SELECT 1 FROM parts o WHERE o.id = (parts.id + 1000) % 2000);

INSERT INTO uniq (k, t) VALUES (md5(random()::text), repeat(md5(random()::text), 200));
UPDATE uniq SET n = DEFAULT WHERE random() < 0.2;
UPDATE uniq SET t = t || 'x', k = k || 'y' WHERE random() < 0.05 AND length(k) < 60;
DELETE FROM uniq WHERE random() < 0.02;

BEGIN;
INSERT INTO log (what) VALUES ('never');
DELETE FROM pairs;
ROLLBACK;
BEGIN;
INSERT INTO log (what) VALUES ('kept');
SAVEPOINT a;
INSERT INTO log (what) VALUES ('not kept');
ROLLBACK TO a;
SELECT nextval('alone');
COMMIT;

DO $$ BEGIN
  PERFORM lo_from_bytea(0, convert_to('object ' || random(), 'UTF8'));
  PERFORM lo_unlink(oid) FROM pg_largeobject_metadata WHERE pg_get_userbyid(lomowner) = 'web' AND random() < 0.2;
END $$;
