//! The database: SQLite by default, PostgreSQL to share.
//!
//! [`Store`] is the handle; its functions are grouped by subject, one file each. A function is one transaction:
//! it happens whole or not at all, also when its caller stops waiting for it (what was begun is carried to its end
//! in a task of its own). Rules that two requests could break together are indexes and keys of the database, and
//! come back as typed errors ([`StoreError`]), never as a database's message.
//!
//! Both databases run the same queries: a macro expands each body once for either connection, so that diesel checks
//! it against both. What they say differently stands in [`dialect`]. SQLite has one connection that writes, in
//! `BEGIN IMMEDIATE` transactions, and several that only read (single rows by their key without changing the
//! thread); PostgreSQL has one pool, and locks the rows that it decides on.
//!
//! | module | subject |
//! | --- | --- |
//! | [`url`] | where the database is; passwords stay hidden |
//! | [`pool`] | opening the store, its settings |
//! | [`sqlite`], [`postgres`] | connections to each, TLS |
//! | [`run`] | the macros that run a body on either database |
//! | [`dialect`] | what the two databases say differently |
//! | [`migrate`] | the tables' versions |
//! | [`schema`] | the tables |
//! | [`columns`] | times, ids and JSON as columns |
//! | [`page`] | lists in pages |
//! | [`error`] | why a call was refused or failed |
//! | [`tokens`] | who may call the API |
//! | [`machines`] | hosts, what is known of them, whose data they hold |
//! | [`tenants`] | customers' units |
//! | [`revisions`] | rendered configurations |
//! | [`operations`] | jobs and their steps: queue, claim, record, cancel |
//! | [`previews`] | what previews were asked about, and what they found |
//! | [`events`] | what operations report |
//! | [`idempotency`] | replies kept for repeated requests |
//! | [`nixops4`] | what NixOps4 knows of tenants' resources |
//! | [`watch`] | links that show one operation |
//! | [`expiry`] | removing what has expired |

mod columns;
mod dialect;
pub mod error;
pub mod events;
mod expiry;
pub mod idempotency;
pub mod machines;
mod migrate;
pub mod nixops4;
pub mod operations;
pub mod page;
pub mod pool;
mod postgres;
pub mod previews;
pub mod revisions;
mod run;
mod schema;
mod sqlite;
pub mod tenants;
pub mod tokens;
pub mod url;
pub mod watch;

pub use error::{DatabaseError, StoreError};
pub use events::EventPage;
pub use expiry::Purged;
pub use idempotency::IdempotencyRecord;
pub use machines::MachineRecord;
pub use operations::OperationFilter;
pub use page::{Cursor, Page};
pub use pool::{Store, StoreOptions};
pub use revisions::RevisionSummary;
pub use tenants::TenantRecord;
pub use tokens::TokenRecord;
pub use url::{DatabaseUrl, InvalidDatabaseUrl};
pub use watch::WatchLink;
