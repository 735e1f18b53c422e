//! The typed client of the deployment API: what the command line speaks with the daemon, and what a Rust program can
//! use to do the same.
//!
//! A [`Client`] knows where the daemon is and holds a token. Its methods are the API's routes, with the bodies of
//! [`berth_contract`] and [`berth_domain`]; what the API refuses comes back as [`ClientError::Refused`] with the whole
//! problem. Every request has a timeout. What may be sent again is, after failures that pass: reading, and posting, as
//! each post carries an `Idempotency-Key` by which the daemon knows it.
//!
//! [`Client::watch`] follows an operation. It lives through lost connections and a restarted daemon, and yields each
//! event once.
//!
//! ```no_run
//! # async fn example() -> Result<(), berth_client::ClientError> {
//! use berth_client::{Client, Update};
//!
//! let client = Client::new("http://127.0.0.1:8484", "berth_…".into())?;
//! let tenant = "acme".parse().expect("a DNS label");
//! let operation = client.deploy(&tenant).await?;
//! let mut watch = client.watch(operation.id, 0);
//! while let Some(update) = watch.next().await? {
//!     match update {
//!         Update::Event(event) => println!("{}", event.message),
//!         Update::Ended(operation) => println!("{}", operation.status),
//!         Update::Gap { .. } | Update::Lost { .. } => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! | module | subject |
//! | --- | --- |
//! | [`client`] | [`Client`]: where the daemon is, the token, the bounds |
//! | [`error`] | what can go wrong |
//! | [`resources`] | the routes, a file per resource |
//! | [`events`] | following an operation or a rollout |
//! | `call` | one request: timeout, sending again, reading the answer |
//! | `upload` | a body that is sent piece by piece |
//! | `pause` | how long to wait before trying again |

mod call;
pub mod client;
mod download;
pub mod error;
pub mod events;
mod pause;
pub mod resources;
mod upload;

pub use client::{Client, ClientOptions};
pub use download::Download;
pub use error::{ClientError, Result};
pub use events::{Followed, Update, Watch};
pub use resources::operations::OperationFilter;
pub use resources::tenants::{DeleteTenant, Deleted, Put};
