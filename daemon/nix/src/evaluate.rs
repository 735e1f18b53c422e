//! Evaluating a flake's system, or many.

use std::collections::BTreeMap;
use std::path::Path;

use berth_domain::MachineName;
use serde::Deserialize;
use serde::de::DeserializeOwned;

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

impl TryFrom<Answer> for Evaluation {
    type Error = NixError;

    fn try_from(answer: Answer) -> Result<Self, NixError> {
        Ok(Self { drv: answer.drv.parse()?, system: answer.system.parse()?, manifest: answer.manifest })
    }
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
        let attribute = format!("nixosConfigurations.\"{machine}\".config");
        let answer: Answer = self.answer(WANTED, &installable(flake, &attribute)?, run, sink).await?;
        answer.try_into()
    }

    /// Evaluates every system of a batch (`berth_render::batch`) in one process, which evaluates once what they share. One
    /// that cannot be evaluated fails the whole batch.
    ///
    /// # Errors
    /// As [`Nix::evaluate`].
    pub async fn evaluate_batch(
        &self,
        flake: &Path,
        run: &Run,
        sink: impl FnMut(Update) + Send,
    ) -> Result<BTreeMap<String, Evaluation>, NixError> {
        let wanted = format!("builtins.mapAttrs (_: system: ({WANTED}) system.config)");
        let answers: BTreeMap<String, Answer> =
            self.answer(&wanted, &installable(flake, "systems")?, run, sink).await?;
        answers.into_iter().map(|(name, answer)| Ok((name, answer.try_into()?))).collect()
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        function: &str,
        installable: &str,
        run: &Run,
        sink: impl FnMut(Update) + Send,
    ) -> Result<T, NixError> {
        const COMMAND: &str = "nix eval";
        let mut command = self.nix(&["eval"]);
        command.args(["--json", "--no-write-lock-file", "--option", "eval-cache", "false"]);
        command.args(["--apply", function, "--", installable]);
        let finished = self.run(command, run, sink).await?;
        if !finished.success() {
            return Err(NixError::EvaluationFailed { message: finished.message() });
        }
        serde_json::from_str(&finished.stdout)
            .map_err(|e| NixError::UnexpectedOutput { command: COMMAND, problem: e.to_string() })
    }
}

/// An attribute of a flake. Its text is ours: a machine's name is a DNS label, so it cannot leave its quotes.
fn installable(flake: &Path, attribute: &str) -> Result<String, NixError> {
    Ok(format!("{}#{attribute}", flake_reference(flake)?))
}

/// A reference to the flake in a folder.
pub(crate) fn flake_reference(flake: &Path) -> Result<String, NixError> {
    let bad = |rule: &str| NixError::BadArgument { argument: "the flake's folder", rule: rule.to_owned() };
    let folder = flake
        .to_str()
        .filter(|folder| folder.bytes().all(allowed))
        .ok_or_else(|| bad("must be made of letters, digits, “.”, “_”, “-”, “+” and “~” only"))?;
    if !flake.is_absolute() {
        return Err(bad("must be an absolute path"));
    }
    Ok(format!("path:{folder}"))
}

fn allowed(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"/._-+~".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flake_reference_holds_nothing_that_nix_would_read_otherwise() {
        let of = |folder: &str| installable(Path::new(folder), "systems");
        assert_eq!(of("/var/lib/x").unwrap(), "path:/var/lib/x#systems");
        for bad in ["relative", "/a b", "/a#b", "/a?dir=b", "/a%20b", "/é", "/a\n"] {
            assert!(matches!(of(bad), Err(NixError::BadArgument { .. })), "{bad}");
        }
    }
}
