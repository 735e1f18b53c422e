DROP TABLE nixops4_changes;
DROP TABLE nixops4_states;
