//! HTTP: the deployment API that panels call, and the page that customers watch.
//!
//! A handler reads: parse, authorise, one call, respond. Whatever is refused is refused here, as a problem (RFC 9457)
//! that names the field, before anything is stored.
//!
//! | module | subject |
//! | --- | --- |
//! | [`app`] | the application: routes, limits, what every answer carries |
//! | [`routes`] | one file per resource, one function per route |
//! | [`state`] | what the handlers share |
//! | `arrival` | what this provider says and decides as a target of migrations |
//! | [`auth`] | bearer tokens and what they open; every route below `/v1` denies by default |
//! | [`throttle`] | slows down those who guess tokens |
//! | [`problem`] | refusals, as problem+json |
//! | [`body`], [`query`] | requests, read so that a mistake names its field |
//! | `shape` | what serde says of a wrong shape, as a broken rule of a field |
//! | [`offer`] | the services on offer, and a tenant's settings against their schemas |
//! | `fallback` | what is no route, or not with this method |
//! | `tenant` | tenants as the API shows them, and who may change what of them |
//! | [`reply`], [`idempotency`] | the same POST twice is one POST |
//! | [`etag`] | two writers, no lost update |
//! | [`paging`] | cursors |
//! | [`sse`] | an operation's events as a stream |
//! | [`watch`] | the customer's page |
//! | [`metrics`] | counters for Prometheus |
//! | [`openapi`] | the contract |

pub mod app;
mod arrival;
pub mod auth;
pub mod body;
pub mod etag;
mod fallback;
mod given;
pub mod idempotency;
pub mod metrics;
pub mod offer;
pub mod openapi;
pub mod paging;
pub mod problem;
pub mod query;
pub mod reply;
pub mod routes;
mod shape;
pub mod sse;
pub mod state;
mod tarball;
mod tenant;
pub mod throttle;
pub mod watch;

pub use app::{app, contract};
pub use auth::TokenSecret;
pub use offer::Offer;
pub use problem::Problem;
pub use state::Api;
