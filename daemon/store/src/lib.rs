//! The database: SQLite by default, PostgreSQL to share.
