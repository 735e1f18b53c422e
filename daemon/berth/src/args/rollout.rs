//! `berth rollout …`

use berth_domain::rollout::Share;
use berth_domain::{Label, RolloutId, ServiceName, TenantName};
use clap::{Args, Subcommand};

/// `berth rollout …`
#[derive(Debug, Subcommand)]
pub enum Rollout {
    /// Deploy many tenants, wave by wave
    Start(Start),
    /// The newest rollouts
    List {
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 20)]
        limit: usize,
    },
    /// A rollout, its waves, and where each tenant stands
    Show {
        /// Its id
        #[arg(value_name = "ROLLOUT")]
        id: RolloutId,
    },
    /// Begin nothing until it is resumed
    Pause {
        /// Its id
        #[arg(value_name = "ROLLOUT")]
        id: RolloutId,
    },
    /// Go on with a paused rollout
    Resume {
        /// Its id
        #[arg(value_name = "ROLLOUT")]
        id: RolloutId,
    },
    /// End a rollout; what was deployed stays so
    Abort {
        /// Its id
        #[arg(value_name = "ROLLOUT")]
        id: RolloutId,
        /// Cancel the deployments that run as well
        #[arg(long)]
        cancel: bool,
    },
    /// Follow a rollout to its end
    Watch {
        /// Its id
        #[arg(value_name = "ROLLOUT")]
        id: RolloutId,
        /// Leave out the events up to this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: i64,
    },
}

/// `berth rollout start`
#[derive(Debug, Args)]
pub struct Start {
    /// Which tenants.
    #[command(flatten)]
    pub select: Select,
    /// How many tenants a wave has, such as 1 or 10%; repeated for each wave [default: 1, then 10%]; the rest is the last
    #[arg(long = "wave", value_name = "NUMBER|PERCENT", value_parser = share)]
    pub waves: Vec<Share>,
    /// How many tenants of a wave may fail, such as 2 or 5% [default: none]
    #[arg(long, value_name = "NUMBER|PERCENT", value_parser = share)]
    pub max_failures: Option<Share>,
    /// How many tenants are deployed at once at most [default: what the daemon allows]
    #[arg(long, value_name = "NUMBER")]
    pub parallel: Option<u32>,
    /// Bring them to another platform: current, or a flake reference [default: each keeps its own]
    #[arg(long, value_name = "FLAKE")]
    pub platform: Option<String>,
    /// Follow it to its end
    #[arg(short, long)]
    pub watch: bool,
}

/// Which tenants.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Select {
    /// All that were deployed
    #[arg(long)]
    pub all: bool,
    /// Those that have a service enabled
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<ServiceName>,
    /// Those that have a label
    #[arg(long, value_name = "LABEL")]
    pub label: Option<Label>,
    /// These, in this order; may be repeated
    #[arg(long = "tenant", value_name = "TENANT")]
    pub tenants: Vec<TenantName>,
}

fn share(text: &str) -> Result<Share, String> {
    text.parse().map_err(|rule: berth_domain::invalid::Rule| rule.message)
}
