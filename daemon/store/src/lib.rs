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
//! | [`each`] | many small writes at once |
//! | [`migrate`] | the tables' versions |
//! | [`schema`] | the tables |
//! | [`columns`] | times, ids and JSON as columns |
//! | [`page`] | lists in pages |
//! | [`error`] | why a call was refused or failed |
//! | [`tokens`] | who may call the API |
//! | [`machines`] | hosts, what is known of them, whose data they hold |
//! | [`tenants`] | customers' units |
//! | [`revisions`] | rendered configurations |
//! | [`operations`] | jobs and their steps: queue, record, cancel |
//! | [`leases`] | who runs an operation: claim, renew, give back, and the fence that guards its rows |
//! | [`news`] | what daemons that share a database tell each other |
//! | [`previews`] | what previews were asked about, and what they found |
//! | [`events`] | what operations report |
//! | [`rollouts`] | the same change to many tenants: rows, tenants, events |
//! | [`drills`] | snapshots tried out on machines that are lent for it |
//! | [`conditions`] | what checks of tenants found, and which are due |
//! | [`idempotency`] | replies kept for repeated requests |
//! | [`nixops4`] | what NixOps4 knows of tenants' resources |
//! | [`moves`] | tenants on their way from one provider to another |
//! | [`moved`] | tenants that have left: whether they came back, when what is left of them goes |
//! | [`snapshots`] | tenants' vaults, and the snapshots in them |
//! | [`bucket_copies`] | the newest copies of tenants' buckets |
//! | [`object_moves`] | what migrations have put into tenants' buckets |
//! | [`backups`] | tenants' backup plans: what is due, what was missed, what failed |
//! | [`presence`] | whether daemons use the database |
//! | [`sealing`] | which key the database is sealed to, and sealing it to another |
//! | [`watch`] | links that show one operation |
//! | [`expiry`] | removing what has expired |

pub mod backups;
pub mod bucket_copies;
mod columns;
pub mod conditions;
mod dialect;
pub mod drills;
mod each;
pub mod error;
pub mod events;
mod expiry;
pub mod idempotency;
pub mod leases;
pub mod machines;
mod migrate;
pub mod moved;
pub mod moves;
pub mod news;
pub mod nixops4;
pub mod object_moves;
pub mod offsite;
pub mod operations;
pub mod page;
pub mod pool;
mod postgres;
pub mod presence;
pub mod previews;
pub mod revisions;
pub mod rollouts;
mod run;
mod schema;
pub mod sealing;
pub mod snapshots;
mod sqlite;
pub mod tenants;
pub mod tokens;
pub mod url;
pub mod watch;

pub use backups::BackupRecord;
pub use drills::DrillRecord;
pub use error::{DatabaseError, StoreError};
pub use events::EventPage;
pub use expiry::Purged;
pub use idempotency::IdempotencyRecord;
pub use leases::{Claim, Claimed, Hold, Renewed};
pub use machines::MachineRecord;
pub use moves::{ArrivalRecord, DepartureRecord};
pub use news::{Listener, News};
pub use object_moves::{MovedInto, MovedObject};
pub use offsite::OffsiteRecord;
pub use operations::{OperationFilter, Recorded, Standing};
pub use page::{Cursor, Page};
pub use pool::{Store, StoreOptions};
pub use presence::Presence;
pub use revisions::RevisionSummary;
pub use rollouts::RolloutEventPage;
pub use sealing::{Reseal, SealedPlace};
pub use snapshots::VaultRecord;
pub use tenants::TenantRecord;
pub use tokens::TokenRecord;
pub use url::{DatabaseUrl, InvalidDatabaseUrl};
pub use watch::WatchLink;
