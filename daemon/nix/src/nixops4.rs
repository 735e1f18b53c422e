//! The command `nixops4` (<https://github.com/nixops4/nixops4>), as far as applying a flake goes.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use berth_domain::redact;
use tokio::process::Command;

use crate::error::NixError;
use crate::log::Update;
use crate::nix::{Nix, QUICK, Run, spawnable};
use crate::process::{Stdout, run};

/// The variable in which the wrapper of `nixops4` tells it where its evaluator is.
const EVALUATOR: &str = "_NIXOPS4_EVAL";

/// How `nixops4 apply` ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Every resource is as it should be.
    Done,
    /// One is not. The last lines that it wrote, without the properties of resources, and without secrets.
    Failed(String),
}

impl Nix {
    /// Whether there is a `nixops4` that can be called.
    ///
    /// # Errors
    /// [`NixError::NotFound`], [`NixError::CommandFailed`]
    pub async fn find_nixops4(&self, bounds: &Run) -> Result<(), NixError> {
        let mut command = self.nixops4_command();
        command.arg("--version").current_dir("/");
        let bounds = Run { timeout: bounds.timeout.min(QUICK), ..bounds.clone() };
        let program = self.nixops4_program();
        let finished = run(command, &program, &bounds, Stdout::Kept, |_| {}).await?;
        if finished.success() {
            return Ok(());
        }
        Err(NixError::CommandFailed { command: "nixops4 --version", message: finished.message() })
    }

    /// Applies the whole root of the flake in a folder. The programs that it starts find `variable` in their environment.
    ///
    /// # Errors
    /// It could not be started, was cancelled, or took too long. That it failed is an [`Applied`].
    pub async fn nixops4_apply(
        &self,
        flake: &Path,
        variable: (&str, &OsStr),
        bounds: &Run,
        mut sink: impl FnMut(Update) + Send,
    ) -> Result<Applied, NixError> {
        let mut command = self.nixops4_command();
        command.args(["apply", "--no-interactive", "--color", "never"]).current_dir(flake);
        // It links Nix, and takes no `--option`.
        command.env("NIX_CONFIG", self.config()?).env(variable.0, variable.1);
        if let Some(evaluator) = std::env::var_os(EVALUATOR) {
            command.env(EVALUATOR, evaluator);
        }
        let program = self.nixops4_program();
        let mut shown = Shown::default();
        let sink = move |update| {
            if let Some(update) = shown.update(update) {
                sink(update);
            }
        };
        let finished = run(command, &program, bounds, Stdout::Told, sink).await?;
        if finished.success() {
            return Ok(Applied::Done);
        }
        let mut shown = Shown::default();
        let message = finished.message();
        let lines: Vec<_> = message.lines().filter_map(|line| shown.line(line)).collect();
        Ok(Applied::Failed(lines.join("\n")))
    }
}

impl Nix {
    fn nixops4_program(&self) -> String {
        self.options().nixops4.to_string_lossy().into_owned()
    }

    fn nixops4_command(&self) -> Command {
        let mut command = spawnable(&self.options().nixops4);
        self.environment(&mut command);
        command.stdin(Stdio::null());
        command
    }
}

/// What is shown of what `nixops4` writes: it prints every input and every output of every resource, whatever they are.
#[derive(Debug, Default)]
struct Shown {
    /// Within a value that goes over several lines.
    in_value: bool,
}

impl Shown {
    fn update(&mut self, update: Update) -> Option<Update> {
        match update {
            Update::Message { level, text } => self.line(&text).map(|text| Update::Message { level, text }),
            other => Some(other),
        }
    }

    /// A line as it is shown. Of a property, that is its name.
    fn line(&mut self, line: &str) -> Option<String> {
        let property = ["    - input ", "    - output "].iter().any(|start| line.starts_with(start));
        if property {
            self.in_value = true;
            let name = line.split(": ").next().unwrap_or_default().trim_end_matches(':');
            return Some(format!("{name}: {}", redact::NOT_SHOWN));
        }
        // The lines of a value stand further right than anything else.
        if self.in_value && (line.starts_with("        ") || matches!(line.trim(), "" | "}" | "]")) {
            return None;
        }
        self.in_value = false;
        // With `--verbose` in somebody's wrapper, it prints them in a form of its own.
        let verbose = ["Resource inputs", "Resource outputs", "Provider details"];
        if let Some(start) = verbose.iter().find(|start| line.trim_start().starts_with(**start)) {
            return Some(format!("{start}: {}", redact::NOT_SHOWN));
        }
        Some(redact::text(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_resources_are_never_shown() {
        let printed = "The following resources were created:
  - resource machine
    - input system: \"/nix/store/x\"
  - resource db
    - input port: 5432
    - input users: {
              \"ann\": \"hunter2\"
            }
    - output dsn: \"hunter2\"
Resource outputs: {\"x\": String(\"hunter2\")}
nixops4 error: it said password=hunter2";
        let mut shown = Shown::default();
        let lines: Vec<_> = printed.lines().filter_map(|line| shown.line(line)).collect();
        let text = lines.join("\n");
        assert!(!text.contains("hunter2") && !text.contains("ann"), "{text}");
        assert!(
            text.contains("  - resource db\n    - input port: (not shown)\n    - input users: (not shown)\n")
        );
        assert!(
            text.ends_with("Resource outputs: (not shown)\nnixops4 error: it said password= (not shown)"),
            "{text}"
        );
    }
}
