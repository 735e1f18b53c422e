DROP TABLE bucket_copies;
