//! Child processes: run, watched, ended with all their descendants.

mod family;
mod lines;
mod run;

pub(crate) use family::sweep;
pub(crate) use run::{Finished, Stdout, run};
