//! What is written where: results to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::Write;

use console::style;
use serde::Serialize;

use crate::failure::Failure;

/// How results are written. Who reads them may be gone at any time; that is no failure of ours.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// JSON or words.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// A result: the value as JSON, or else what `words` makes of it.
    pub fn result<T: Serialize>(self, value: &T, words: impl FnOnce(&T) -> String) {
        if self.json {
            self.document(value);
        } else {
            self.text(&words(value));
        }
    }

    /// A JSON document, on several lines.
    pub fn document(self, value: &impl Serialize) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.text(&text);
    }

    /// A JSON document on one line, at once.
    pub fn json_line(self, value: &impl Serialize) {
        self.text(&serde_json::to_string(value).unwrap_or_default());
    }

    /// Words as they are; nothing if there are none.
    pub fn text(self, text: &str) {
        if !text.is_empty() {
            let mut stdout = std::io::stdout().lock();
            let _ = writeln!(stdout, "{}", text.trim_end());
            let _ = stdout.flush();
        }
    }

    /// Something that is worth knowing and is no result.
    pub fn aside(self, text: &str) {
        say(&style(text).for_stderr().dim());
    }

    /// A failure with which the program ends: for people, and for programs also as JSON.
    pub fn failure(self, failure: &Failure) {
        self.explain(failure);
        if self.json && !failure.was_shown() {
            self.document(&failure.json());
        }
    }

    /// A failure for people: what, every broken rule, and what to do.
    pub fn explain(self, failure: &Failure) {
        let word = match failure {
            Failure::Detached(_)
            | Failure::DetachedRollout(_)
            | Failure::Interrupted
            | Failure::Unanswered => style("note:").for_stderr().yellow().bold(),
            _ => style("error:").for_stderr().red().bold(),
        };
        say(&format!("{word} {}", summary(failure)));
        if let Failure::Client(error) = failure {
            for broken in error.problem().into_iter().flat_map(|problem| &problem.errors) {
                let field = style(&broken.field).for_stderr().bold();
                say(&format!("  {field}  {}", broken.message));
            }
        }
        for line in failure.advice().iter().flat_map(|advice| advice.lines()) {
            say(&format!("  {} {line}", style("→").for_stderr().cyan()));
        }
    }
}

/// In one line; where rules are listed below, they are not said twice.
fn summary(failure: &Failure) -> String {
    match failure {
        Failure::Client(error) => match error.problem() {
            Some(problem) if !problem.errors.is_empty() => problem.title.clone(),
            _ => error.to_string(),
        },
        _ => failure.to_string(),
    }
}

fn say(text: &impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
