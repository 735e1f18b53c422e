//! The JSON lines that a running operation of the driver `nixops4` exchanges with `berth-nixops4-provider`, which
//! `nixops4 apply` starts, over a socket of the operation's own.
//!
//! The daemon's API is no help to the provider then: the operation that it would ask for is the one that waits for it. So
//! the operation listens on a Unix socket in a folder that nobody else can enter, and whoever it starts finds the socket's
//! path in the variable [`SOCKET`]. Each line from the provider is a [`Question`]; each is answered by one [`Line`].
//! No line is longer than [`crate::MAX_LINE`] bytes.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The variable that holds the socket's path.
pub const SOCKET: &str = "BERTH_NIXOPS4_SOCKET";

/// What the provider asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Switch the machine to a system. Answered by [`Line::Activated`], however often it is asked.
    Activate {
        /// The machine's name.
        machine: String,
        /// The system's store path.
        system: String,
    },
    /// The tenant's NixOps4 state, to be changed from now on by whoever asks. Answered by [`Line::State`].
    ReadState {
        /// The tenant's name.
        tenant: String,
    },
    /// A change of that state. Answered by [`Line::Kept`].
    ChangeState {
        /// The tenant's name.
        tenant: String,
        /// The change.
        change: StateChange,
    },
}

/// A change of a tenant's NixOps4 state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateChange {
    /// What happened, in NixOps4's word: `create` or `update`.
    pub event: String,
    /// The version of NixOps4 that says so.
    pub nixops_version: String,
    /// What that changes, as an array of RFC 6902 operations.
    pub patch: Value,
    /// Names of properties that are secrets although their names do not say so.
    #[serde(default)]
    pub sensitive: Vec<String>,
}

/// What the operation says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// To [`Question::Activate`]: the machine runs the system.
    Activated {
        /// The operation.
        operation: Uuid,
        /// The revision that the system was built from.
        revision: String,
    },
    /// To [`Question::ReadState`].
    State(Value),
    /// To [`Question::ChangeState`]: it is stored.
    Kept,
    /// What was asked for cannot be had.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_the_other_side_expects_them() {
        let question = Question::Activate { machine: "vm1".into(), system: "/nix/store/x".into() };
        let text = serde_json::to_string(&question).unwrap();
        assert_eq!(text, r#"{"ask":"activate","machine":"vm1","system":"/nix/store/x"}"#);
        assert_eq!(serde_json::from_str::<Question>(&text).unwrap(), question);
        assert_eq!(serde_json::to_string(&Line::Kept).unwrap(), r#""kept""#);
        assert_eq!(serde_json::to_string(&Line::Failed("x".into())).unwrap(), r#"{"failed":"x"}"#);
    }
}
