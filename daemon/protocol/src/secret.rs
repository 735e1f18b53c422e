//! Secrets on their way to a machine.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// A secret of a service that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenSecret {
    /// The service's name.
    pub service: String,
    /// The secret's name in the service's manifest.
    pub name: String,
    /// What is to stand in its file.
    pub value: SecretText,
}

/// A text that no debug output shows. It is written out only as a part of a line to the agent.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretText(SecretString);

impl SecretText {
    /// The text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<SecretString> for SecretText {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for SecretText {}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_show_it_and_the_line_does() {
        let given = GivenSecret {
            service: "gitea".into(),
            name: "smtp-password".into(),
            value: SecretString::from("hunter2").into(),
        };
        assert!(!format!("{given:?}").contains("hunter2"));
        let line = serde_json::to_string(&given).unwrap();
        assert_eq!(serde_json::from_str::<GivenSecret>(&line).unwrap(), given);
    }
}
