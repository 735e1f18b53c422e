//! `berth demo`

use clap::Args;

/// `berth demo`
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Demo {
    /// Install what is missing by apt-get without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Put everything away in the end; succeed only if every service answered
    #[arg(long, conflicts_with_all = ["keep", "stop"])]
    pub exit: bool,
    /// Start a second provider, and move the tenant there by a ticket while a visitor asks for it
    #[arg(long, conflicts_with_all = ["keep", "stop"])]
    pub migrate: bool,
    /// Leave the daemon and the machine running
    #[arg(long, conflicts_with = "stop")]
    pub keep: bool,
    /// End the demo that was left running, and put away what a crashed one left behind
    #[arg(long)]
    pub stop: bool,
}
