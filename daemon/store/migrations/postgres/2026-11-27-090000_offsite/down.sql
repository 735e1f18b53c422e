DROP TABLE offsite_imports;
