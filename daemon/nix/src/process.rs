//! Child processes: run, watched, ended with all their descendants.

mod family;
mod lines;
mod run;

pub(crate) use run::{Finished, Stdout, run};

/// Ends every process on this host whose environment was given the variable `name` with this value, and waits a moment until
/// they are gone: a daemon that is killed takes nothing along.
pub async fn end_marked(name: &str, value: &str) {
    let variable = format!("{name}={value}");
    // Looking through all processes is no work for a thread that others wait for.
    let _ = tokio::task::spawn_blocking(move || family::sweep(&variable)).await;
}
