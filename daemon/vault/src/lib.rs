//! The vault: a server for tenants' backups that any restic client (<https://restic.net>) speaks to.
//!
//! A tenant has one repository, at `/vault/{repository}/` of the daemon. What is in it is encrypted by restic before it comes
//! here; the vault keeps objects, and knows neither their content nor its owners. It makes sure of what a server can make
//! sure of: an object is kept as a whole or not at all, under the sum of its content and under no other name; nothing is
//! ever replaced; nobody does more than their [`Mode`] allows or has more than their quota.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use actix_web::{App, HttpServer};
//! use berth_vault::{FolderStorage, Limits, Mode, Tokens, Vault};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = FolderStorage::open(Path::new("/var/lib/berth/vault")).await?;
//! let tokens = Arc::new(Tokens::new());
//! let token = tokens.issue(&"acme".parse()?, Mode::AppendOnly, Some(1 << 30), Duration::from_secs(3600))?;
//! let vault = Vault::new(Arc::new(storage), tokens, Limits::default());
//! HttpServer::new(move || App::new().configure(berth_vault::routes(vault.clone())))
//!     .bind(("127.0.0.1", 8000))?
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | subject |
//! | --- | --- |
//! | [`vault`] | [`Vault`]: usage, lists, destroying |
//! | [`name`], [`object`] | what repositories and objects are called |
//! | [`access`] | [`Gate`]: who may do what, decided elsewhere |
//! | [`tokens`] | [`Tokens`]: a gate of tokens in memory |
//! | [`far`] | a way through this host into a repository of somebody else's vault |
//! | [`limits`] | sizes and times |
//! | [`storage`] | where objects lie: [`FolderStorage`], [`S3Storage`] |
//! | `quoted` | names of any bytes, as restic has them in JSON |
//! | `init` | a new repository, whose key is quick to try |
//! | [`author`] | [`Author`]: snapshots of what is no folder of this host |
//! | [`merge`] | snapshots of everything, made of earlier ones and of what has changed since |
//! | [`reader`] | [`Reader`]: what snapshots consist of |
//! | [`buckets`] | buckets of other stores as snapshots |
//! | [`offsite`] | repositories that lie elsewhere, and taking one over |
//! | `ledger` | how much each repository holds, and what uploads reserve |
//! | `receive` | taking an upload |
//! | `http` | the protocol: routes, admission, answers |
//! | `refused` | why a request is refused |

pub mod access;
pub mod author;
pub mod buckets;
pub mod far;
mod http;
mod init;
mod ledger;
pub mod limits;
pub mod merge;
pub mod name;
pub mod object;
pub mod offsite;
mod quoted;
pub mod reader;
mod receive;
mod refused;
pub mod storage;
pub mod tokens;
pub mod vault;

pub use access::{Access, Caller, Credentials, Gate, Mode, Refusal};
pub use author::{Attributes, Author, AuthorError, Title};
pub use far::{Far, FarError, OpenDoor};
pub use http::{routes, scope, scope_below};
pub use limits::Limits;
pub use merge::MergeError;
pub use name::RepositoryName;
pub use offsite::{Location, Offsite, OffsiteError, Reaching};
pub use reader::{Node, ReadError, Reader, Summed, Tree};
pub use storage::folder::FolderStorage;
pub use storage::s3::{S3Config, S3Storage};
pub use storage::{Storage, StorageError};
pub use tokens::Tokens;
pub use vault::Vault;
