DROP TABLE secrets_key;
