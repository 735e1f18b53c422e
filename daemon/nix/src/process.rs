//! Child processes: run, watched, ended with all their descendants.

mod family;
mod lines;
mod run;

pub(crate) use run::{Finished, run};
