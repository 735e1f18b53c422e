//! Showing how something long comes along.
//!
//! A [`Board`] is a list of rows: the steps of an operation, or the stages of the demo. On a terminal it is drawn with
//! a bar for each row; elsewhere every change is a line with its time. [`follow()`] puts an operation's events on one.
//!
//! | module | subject |
//! | --- | --- |
//! | [`board`] | [`Board`]: the rows, whoever draws them |
//! | `bars` | drawn on a terminal |
//! | `lines` | written as lines |
//! | `quiet` | a terminal that does not write into what is drawn |
//! | [`mod@follow`] | an operation's events on a board, or as JSON |

mod bars;
pub mod board;
pub mod follow;
mod lines;
mod quiet;

pub use board::{Board, Mark};
pub use follow::{Shown, follow};
