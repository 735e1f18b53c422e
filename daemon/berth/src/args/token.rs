//! `berth token …`

use berth_domain::{Scope, TokenId};
use clap::Subcommand;

use super::quantity;

/// `berth token …`
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Issue a token; it is printed this once
    Create {
        /// What it is for
        #[arg(value_name = "NAME")]
        name: String,
        /// What it opens: admin, operator, tenant:NAME:read or tenant:NAME:write
        #[arg(long)]
        scope: Scope,
        /// How long it works, in seconds or such as 30d [default: for good]
        #[arg(long, value_name = "TIME", value_parser = quantity::seconds)]
        expires_in: Option<u64>,
    },
    /// Every token, without its secret
    List,
    /// Make a token open nothing any more
    Revoke {
        /// Its id
        #[arg(value_name = "ID")]
        id: TokenId,
    },
}
