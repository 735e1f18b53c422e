//! The measurements behind `tests/bench NAME [--json]`: what is said goes to standard error, the figures are the last
//! line of standard output.

mod api;
mod bare;
mod chaos;
mod deploy;
mod eval;
mod load;
mod migrate;
mod render;
mod simulate;
mod watch;

use clap::{Parser, ValueEnum};

/// Measures one thing and prints its figures as a JSON object.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is measured.
    name: Name,
    /// Only the figures; nothing on standard error.
    #[arg(long)]
    json: bool,
    /// Of what is decided by chance: the same as in a run that printed it; of simulate: only the world of this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Of chaos and migrate: how many faults at least.
    #[arg(long)]
    faults: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    /// 10,000 different tenants as flakes.
    Render,
    /// One tenant of 10,000 over HTTP, with 64 connections, on SQLite.
    Api,
    /// 100 tenants, in one evaluation and one by one.
    Eval,
    /// Deployments to a real machine.
    Deploy,
    /// Faults at random instants of deployments.
    Chaos,
    /// A build that says a lot, and many who follow one.
    Watch,
    /// Migrations between two providers, and faults at random instants of them.
    Migrate,
    /// The engine in simulated worlds.
    Simulate,
    /// The server that `api` compares the daemon with.
    #[value(hide = true)]
    Bare,
}

/// Tells people what is being done.
pub struct Tell {
    quiet: bool,
}

impl Tell {
    /// Says a line.
    #[allow(clippy::print_stderr)]
    pub fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let tell = Tell { quiet: arguments.json };
    let figures = match arguments.name {
        Name::Render => render::measure(&tell)?,
        Name::Api => tokio::runtime::Runtime::new()?.block_on(api::measure(&tell))?,
        Name::Deploy => tokio::runtime::Runtime::new()?.block_on(deploy::measure(&tell))?,
        Name::Eval => tokio::runtime::Runtime::new()?.block_on(eval::measure(&tell))?,
        Name::Chaos => {
            let (seed, faults) = (arguments.seed, arguments.faults);
            tokio::runtime::Runtime::new()?.block_on(chaos::measure(seed, faults, &tell))?
        }
        Name::Migrate => {
            let (seed, faults) = (arguments.seed, arguments.faults);
            tokio::runtime::Runtime::new()?.block_on(migrate::measure(seed, faults, &tell))?
        }
        Name::Watch => tokio::runtime::Runtime::new()?.block_on(watch::measure(&tell))?,
        Name::Simulate => simulate::measure(&tell, arguments.seed)?,
        Name::Bare => return bare::serve(),
    };
    #[allow(clippy::print_stdout)]
    {
        println!("{figures}");
    }
    Ok(())
}
