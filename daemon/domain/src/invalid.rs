//! Broken rules of a request: which field, which rule, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where in the request body: a JSON pointer (RFC 6901), such as `/services/gitea/app_name`.
    #[schema(example = "/domain")]
    pub field: String,
    /// The rule's stable name, such as `dns-label`; programs switch on it.
    #[schema(example = "domain")]
    pub rule: String,
    /// What is wrong and what would be right, for a person.
    #[schema(example = "must be a domain name such as acme.example")]
    pub message: String,
}

/// Every broken rule of one request; never empty when it is returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invalid {
    errors: Vec<FieldError>,
}

impl Invalid {
    /// A single broken rule.
    pub fn one(field: impl Into<String>, rule: &str, message: impl Into<String>) -> Self {
        let mut invalid = Self::default();
        invalid.push(field, rule, message);
        invalid
    }

    /// Adds a broken rule.
    pub fn push(&mut self, field: impl Into<String>, rule: &str, message: impl Into<String>) {
        self.errors.push(FieldError { field: field.into(), rule: rule.into(), message: message.into() });
    }

    /// Takes `result`'s value, or notes its broken rule under `field` and yields nothing.
    pub fn take<T>(&mut self, field: &str, result: Result<T, Rule>) -> Option<T> {
        result.map_err(|rule| self.push(field, rule.name, rule.message)).ok()
    }

    /// Adds all of another's rules.
    pub fn extend(&mut self, other: Invalid) {
        self.errors.extend(other.errors);
    }

    /// The broken rules.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// `Ok(value)` if no rule was broken.
    ///
    /// # Errors
    /// `self`, when it holds at least one broken rule.
    pub fn or<T>(self, value: T) -> Result<T, Invalid> {
        if self.errors.is_empty() { Ok(value) } else { Err(self) }
    }

    /// Whether no rule was broken.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            let field = if error.field.is_empty() { "the whole" } else { &error.field };
            write!(f, "{separator}{field}: {}", error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// A broken rule that does not know yet which field it belongs to: the error of this crate's parsers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rule {
    /// The rule's stable name.
    pub name: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Rule {
    /// A broken rule.
    pub fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into() }
    }
}

/// One segment of a JSON pointer, escaped (RFC 6901: `~` is `~0`, `/` is `~1`).
pub fn pointer_segment(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}
