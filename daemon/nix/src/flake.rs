//! Questions about a flake as a whole: what it is locked to, and its packages.

use serde::Deserialize;

use crate::error::NixError;
use crate::log::Update;
use crate::nix::{Nix, Run};
use crate::store_path::StorePath;

/// A package is a derivation, or (in flakes that carry a finished program) a path.
const PACKAGE: &str = "package: if builtins.isAttrs package \
                       then { drv = package.drvPath; out = package.outPath; } \
                       else { drv = null; out = \"${package}\"; }";

/// A package that was evaluated and perhaps not built yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What builds it; nothing for one that is in the store already.
    pub drv: Option<StorePath>,
    /// Where it stands once it is built.
    pub out: StorePath,
}

#[derive(Deserialize)]
struct Answer {
    drv: Option<String>,
    out: String,
}

/// A flake at one fixed content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedFlake {
    /// A reference that means the same tomorrow. That of a folder names its copy in the store, as the folder itself
    /// may change.
    pub reference: String,
    /// Its files in the store.
    pub source: StorePath,
}

#[derive(Deserialize)]
struct Metadata {
    url: String,
    path: String,
    locked: Locked,
}

#[derive(Deserialize)]
struct Locked {
    r#type: String,
}

impl Nix {
    /// Fetches a flake and names its content, so that the reference means the same tomorrow.
    ///
    /// # Errors
    /// [`NixError::EvaluationFailed`] with Nix's message, where the flake cannot be fetched.
    pub async fn lock(&self, flake: &str, run: &Run) -> Result<LockedFlake, NixError> {
        const COMMAND: &str = "nix flake metadata";
        let mut command = self.nix(&["flake", "metadata"]);
        command.args(["--json", "--no-write-lock-file", "--", checked(flake)?]);
        let finished = self.run(command, run, |_| {}).await?;
        if !finished.success() {
            return Err(NixError::EvaluationFailed { message: finished.message() });
        }
        let unexpected =
            |e: serde_json::Error| NixError::UnexpectedOutput { command: COMMAND, problem: e.to_string() };
        let metadata: Metadata = serde_json::from_str(&finished.stdout).map_err(unexpected)?;
        let source: StorePath = metadata.path.parse()?;
        let reference =
            if metadata.locked.r#type == "path" { format!("path:{source}") } else { metadata.url };
        Ok(LockedFlake { reference, source })
    }

    /// Evaluates `packages.SYSTEM.NAME` of a flake.
    ///
    /// # Errors
    /// [`NixError::EvaluationFailed`] with Nix's message; [`NixError::BadArgument`] for names that are none.
    pub async fn package(
        &self,
        flake: &str,
        system: &str,
        name: &str,
        run: &Run,
        sink: impl FnMut(Update) + Send,
    ) -> Result<Package, NixError> {
        const COMMAND: &str = "nix eval";
        for word in [system, name] {
            if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
                return Err(bad(
                    "the package's attribute",
                    "must be made of letters, digits, “_” and “-” only",
                ));
            }
        }
        let installable = format!("{}#packages.{system}.{name}", checked(flake)?);
        let mut command = self.nix(&["eval"]);
        command.args(["--json", "--no-write-lock-file", "--option", "eval-cache", "false"]);
        command.args(["--apply", PACKAGE, "--", &installable]);
        let finished = self.run(command, run, sink).await?;
        if !finished.success() {
            return Err(NixError::EvaluationFailed { message: finished.message() });
        }
        let answer: Answer = serde_json::from_str(&finished.stdout)
            .map_err(|e| NixError::UnexpectedOutput { command: COMMAND, problem: e.to_string() })?;
        let drv = answer.drv.map(|drv| drv.parse()).transpose()?;
        Ok(Package { drv, out: answer.out.parse()? })
    }
}

/// A reference without a fragment, which would name something inside the flake.
fn checked(flake: &str) -> Result<&str, NixError> {
    if flake.is_empty() || flake.contains('#') || flake.chars().any(char::is_control) {
        return Err(bad("the flake's reference", "must be one line without “#”"));
    }
    Ok(flake)
}

fn bad(argument: &'static str, rule: &str) -> NixError {
    NixError::BadArgument { argument, rule: rule.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_whole_flake() {
        assert!(checked("path:/usr/share/berth").is_ok());
        for bad in ["", "path:/x#y", "path:/x\n"] {
            assert!(matches!(checked(bad), Err(NixError::BadArgument { .. })), "{bad:?}");
        }
    }
}
