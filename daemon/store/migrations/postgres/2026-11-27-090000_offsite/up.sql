-- Tenants that are made of a repository that lies elsewhere. The same table as in ../../sqlite; change both together.

-- The row outlives the operation, as the same repository is to be known again.
CREATE TABLE offsite_imports (
    operation  TEXT PRIMARY KEY NOT NULL,
    -- The repository's own id, which it has wherever it is copied to.
    repository TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    snapshot   TEXT NOT NULL,
    go_live    BOOLEAN NOT NULL,
    -- Where it lies and what opens it, sealed; null once the operation has ended.
    sealed     TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX offsite_imports_repository ON offsite_imports (repository, operation);
