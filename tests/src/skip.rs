//! What a test needs and this host lacks.

use anyhow::{Result, ensure};

/// Says that a test is skipped, and why.
///
/// # Errors
/// If this variable is 1: what is lacking must be there then.
#[allow(clippy::print_stderr)]
pub fn unless_required(variable: &str, why: &str) -> Result<()> {
    let required = std::env::var_os(variable).is_some_and(|value| value == "1");
    ensure!(!required, "{why}");
    eprintln!("SKIPPED: {why}");
    Ok(())
}
