//! Following an operation, through lost connections, to its end.
//!
//! | module | subject |
//! | --- | --- |
//! | `sse` | the bytes of an event stream as its frames (WHATWG HTML, section 9.2) |
//! | `reading` | what a frame means in this API |
//! | [`watch`] | [`Watch`]: one update after another |

mod reading;
mod sse;
pub mod watch;

pub use watch::{Update, Watch};
