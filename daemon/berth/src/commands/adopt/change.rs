//! What would differ.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::folder::Held;
use super::{place, shown};

/// An attribute that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Change {
    /// Where, as it is written in Nix.
    attribute: String,
    /// What the daemon has; absent where it has nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<Value>,
    /// What the folder has; absent where it has nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<Value>,
}

impl Change {
    pub(super) fn row(&self) -> Vec<String> {
        let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "–".to_owned(), shown);
        vec![self.attribute.clone(), side(&self.daemon), side(&self.folder)]
    }
}

/// The attributes that differ, by their names. Lists are compared as a whole.
pub(super) fn between(daemon: &Held, folder: &Held) -> Vec<Change> {
    let of = |held: &Held| {
        let mut leaves = BTreeMap::new();
        collect("/machine", &held.machine, &mut leaves);
        collect("", &held.tenant, &mut leaves);
        leaves
    };
    let (old, new) = (of(daemon), of(folder));
    let mut pointers: Vec<&String> = old.keys().chain(new.keys()).collect();
    pointers.sort();
    pointers.dedup();
    let differs = pointers.into_iter().filter(|pointer| old.get(*pointer) != new.get(*pointer));
    differs
        .map(|pointer| Change {
            attribute: match pointer.strip_prefix("/machine/") {
                Some(name) => format!("berth.machine.{name}"),
                None => place::of_pointer(pointer),
            },
            daemon: old.get(pointer).cloned(),
            folder: new.get(pointer).cloned(),
        })
        .collect()
}

fn collect(at: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                collect(&format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), value, leaves);
            }
        }
        value => {
            leaves.insert(at.to_owned(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_attribute_that_differs_is_named_with_both_values() {
        let held = |tenant: Value, system: &str| Held { tenant, machine: json!({ "system": system }) };
        let old = held(json!({"plan": "small", "keys": [1], "services": {"gitea": {"enable": true}}}), "x");
        let new = held(json!({"keys": [1, 2], "services": {"gitea": {"enable": true, "a": {"b": 1}}}}), "y");
        let rows: Vec<_> = between(&old, &new).iter().map(|change| change.row().join(" ")).collect();
        assert_eq!(
            rows,
            [
                "berth.tenant.keys [1] [1,2]",
                "berth.machine.system \"x\" \"y\"",
                "berth.tenant.plan \"small\" –",
                "berth.tenant.services.gitea.a.b – 1",
            ]
        );
        assert!(between(&old, &old).is_empty());
    }
}
