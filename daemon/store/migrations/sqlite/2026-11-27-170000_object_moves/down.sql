DROP TABLE object_moves;
