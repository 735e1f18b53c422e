//! The measurements behind `tests/bench NAME [--json]`: what is said goes to standard error, the figures are the last
//! line of standard output.

mod api;
mod bare;
mod deploy;
mod eval;
mod load;
mod render;

use clap::{Parser, ValueEnum};

/// Measures one thing and prints its figures as a JSON object.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is measured.
    name: Name,
    /// Only the figures; nothing on standard error.
    #[arg(long)]
    json: bool,
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
        Name::Bare => return bare::serve(),
    };
    #[allow(clippy::print_stdout)]
    {
        println!("{figures}");
    }
    Ok(())
}
