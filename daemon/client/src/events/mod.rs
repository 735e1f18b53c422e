//! Following an operation or a rollout, through lost connections, to its end.
//!
//! | module | subject |
//! | --- | --- |
//! | `sse` | the bytes of an event stream as its frames (WHATWG HTML, section 9.2) |
//! | [`followed`] | what can be followed |
//! | `reading` | what a frame means in this API |
//! | [`watch`] | [`Watch`]: one update after another |

pub mod followed;
mod reading;
mod sse;
pub mod watch;

pub use followed::Followed;
pub use watch::{Update, Watch};
