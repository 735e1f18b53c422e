//! Evaluating a flake's system.

use std::path::Path;

use berth_domain::MachineName;
use serde::Deserialize;

use crate::error::NixError;
use crate::log::Update;
use crate::nix::{Nix, Run};
use crate::store_path::StorePath;

/// What a deployment wants to know of a configuration.
const WANTED: &str = "config: { drv = config.system.build.toplevel.drvPath; \
                      system = config.system.build.toplevel.outPath; manifest = config.berth.manifest; }";

/// What evaluating a system yields.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The system's derivation; it is in the store.
    pub drv: StorePath,
    /// The system's path, which exists once it is built.
    pub system: StorePath,
    /// What the system says of itself: `berth_domain::Manifest` as JSON.
    pub manifest: serde_json::Value,
}

#[derive(Deserialize)]
struct Answer {
    drv: String,
    system: String,
    manifest: serde_json::Value,
}

impl Nix {
    /// Evaluates `nixosConfigurations.MACHINE` of the flake in `flake` and puts its derivation into the store.
    ///
    /// `flake` must be absolute and made of letters, digits, `.`, `_`, `-`, `+` and `~` only: Nix 2.8 does not
    /// undo the percent-encoding that anything else would need in a flake reference. The flake's lock file is neither
    /// needed nor written, and failures are not cached: a cached failure would lose its message.
    ///
    /// # Errors
    /// [`NixError::EvaluationFailed`] with Nix's message.
    pub async fn evaluate(
        &self,
        flake: &Path,
        machine: &MachineName,
        run: &Run,
        sink: impl FnMut(Update) + Send,
    ) -> Result<Evaluation, NixError> {
        const COMMAND: &str = "nix eval";
        let mut command = self.nix(&["eval"]);
        command.args(["--json", "--no-write-lock-file", "--option", "eval-cache", "false"]);
        command.args(["--apply", WANTED, "--", &installable(flake, machine)?]);
        let finished = self.run(command, run, sink).await?;
        if !finished.success() {
            return Err(NixError::EvaluationFailed { message: finished.message() });
        }
        let answer: Answer = serde_json::from_str(&finished.stdout)
            .map_err(|e| NixError::UnexpectedOutput { command: COMMAND, problem: e.to_string() })?;
        Ok(Evaluation { drv: answer.drv.parse()?, system: answer.system.parse()?, manifest: answer.manifest })
    }
}

fn installable(flake: &Path, machine: &MachineName) -> Result<String, NixError> {
    let bad = |rule: &str| NixError::BadArgument { argument: "the flake's folder", rule: rule.to_owned() };
    let folder = flake
        .to_str()
        .filter(|folder| folder.bytes().all(allowed))
        .ok_or_else(|| bad("must be made of letters, digits, “.”, “_”, “-”, “+” and “~” only"))?;
    if !flake.is_absolute() {
        return Err(bad("must be an absolute path"));
    }
    // A machine's name is a DNS label, so it cannot leave the quotes.
    Ok(format!("path:{folder}#nixosConfigurations.\"{machine}\".config"))
}

fn allowed(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"/._-+~".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flake_reference_holds_nothing_that_nix_would_read_otherwise() {
        let machine: MachineName = "vm-1".parse().unwrap();
        let of = |folder: &str| installable(Path::new(folder), &machine);
        assert_eq!(of("/var/lib/x").unwrap(), "path:/var/lib/x#nixosConfigurations.\"vm-1\".config");
        for bad in ["relative", "/a b", "/a#b", "/a?dir=b", "/a%20b", "/é", "/a\n"] {
            assert!(matches!(of(bad), Err(NixError::BadArgument { .. })), "{bad}");
        }
    }
}
