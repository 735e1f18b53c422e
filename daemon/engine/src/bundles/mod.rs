//! Bundles that somebody brings here, so that a tenant is made of one whose provider need not be there any more.
//!
//! They lie in a folder of the daemon's until they are taken in: `ID.tar` is what has arrived, `ID.json` what is known of it, and
//! `OPERATION.take-in` what an operation was asked to make of it. A bundle is never in memory, and nothing is made of one
//! before every byte of it was compared with what is signed. docs/src/bundles.md is for people.
//!
//! | module | subject |
//! | --- | --- |
//! | `spool` | the folder |
//! | `arriving` | more of a bundle arrives |
//! | `examine` | whether it is whole, and what it says of itself |
//! | `specification` | the tenant that it is of |
//! | `stoppable` | reading one until somebody wishes to stop |
//! | `holdings`, `buckets` | what it holds of each service, and whether a system can take that |
//! | `unpack` | from there into a vault |
//! | `order` | what an operation was asked to make of it |

mod arriving;
mod buckets;
mod examine;
mod holdings;
mod order;
mod specification;
mod spool;
mod stoppable;
mod unpack;

pub use arriving::Arriving;
pub use order::Order;
pub use spool::{KEPT, Spool, SpoolError};

pub(crate) use holdings::{Held, Holdings};
pub(crate) use unpack::{Unpacking, missing, unpack};
