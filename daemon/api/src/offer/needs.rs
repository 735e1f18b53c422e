//! Settings that need another service of the tenant.

use std::collections::BTreeMap;

use berth_domain::Invalid;
use berth_domain::invalid::pointer_segment;
use serde_json::{Map, Value};

use super::Offer;

impl Offer {
    /// A setting may need another service of the tenant: as its schema's `x-berth-service` says, a switch that is on needs
    /// the named one, and a name (`true`) needs what it names.
    pub(super) fn check_needs(&self, services: &BTreeMap<String, Map<String, Value>>, invalid: &mut Invalid) {
        let is_there =
            |name: &str| services.get(name).is_some_and(|it| it.get("enable") != Some(&Value::Bool(false)));
        for (name, settings) in services.iter().filter(|(name, _)| is_there(name)) {
            let properties = self.schema(name).and_then(|schema| schema["properties"].as_object());
            for (setting, property) in properties.into_iter().flatten() {
                let value = settings.get(setting).or(property.get("default"));
                let needed = match (&property["x-berth-service"], value) {
                    (Value::String(service), Some(Value::Bool(true))) => service,
                    (Value::Bool(true), Some(Value::String(service))) => service,
                    _ => continue,
                };
                if !is_there(needed) {
                    let at = format!("/services/{}/{setting}", pointer_segment(name));
                    invalid.push(
                        at,
                        "needs-service",
                        format!("needs the service “{needed}”, which is not selected"),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{draft, offer};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_setting_that_needs_another_service_is_refused_without_it() {
        let field = "/services/mastodon/media_in_own_store".to_owned();
        let media = |garage: Value| {
            broken_or_none(json!({"mastodon": {"media_in_own_store": true}, "garage": garage}))
        };
        assert_eq!(media(json!({"enable": false})), [(field, "needs-service".to_owned())]);
        assert!(media(json!({})).is_empty());
        let found = broken_or_none(json!({"woodpecker": {"forge": "gitea"}}));
        assert_eq!(found, [("/services/woodpecker/forge".to_owned(), "needs-service".to_owned())]);
        assert!(broken_or_none(json!({"woodpecker": {"enable": false}})).is_empty());
        // What is not said counts as its default says.
        assert_eq!(broken_or_none(json!({"woodpecker": {}})).len(), 1);
    }

    fn broken_or_none(services: Value) -> Vec<(String, String)> {
        let errors = offer().check(&draft(services).services).err();
        errors
            .iter()
            .flat_map(Invalid::errors)
            .map(|error| (error.field.clone(), error.rule.clone()))
            .collect()
    }
}
