//! What somebody wants to be different of a tenant's services.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A merge patch (RFC 7396) to a tenant's `services`. What is given in confidence may be in it, so only names are shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServicesPatch(pub Map<String, Value>);

impl ServicesPatch {
    /// Whether everything stays as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for ServicesPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_in_it_is_shown_to_nobody() {
        let text = json!({ "gitea": { "object_storage": { "secret_key": "hunter2" } } });
        let patch: ServicesPatch = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(format!("{patch:?}"), "[\"gitea\"]");
        assert_eq!(serde_json::to_value(&patch).unwrap(), text);
        assert!(ServicesPatch::default().is_empty() && !patch.is_empty());
        assert!(serde_json::from_value::<ServicesPatch>(json!([])).is_err());
    }
}
