//! What cannot be changed any more once it was deployed: other servers, clones and readers rely on it.

use berth_domain::{Invalid, ServiceName, ServiceSelection, TenantSpec};
use serde_json::Value;

use super::{Offer, SUBDOMAIN};

/// The word for a service's whole address: the tenant's domain and the service's sub-domain.
const HOST: &str = "host";

impl Offer {
    /// Checks that a change leaves alone what the services that were deployed cannot change.
    ///
    /// # Errors
    /// Every setting that must stay, with the reason.
    pub fn check_fixed(&self, deployed: &TenantSpec, wanted: &TenantSpec) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        for (name, before) in deployed.services.iter().filter(|(_, selection)| selection.enable) {
            let Some(offered) = self.services.get(name) else { continue };
            for (setting, reason) in &offered.entry.fixed {
                if setting == HOST && deployed.domain != wanted.domain {
                    invalid.push("/domain", "fixed", format!("cannot change: {name} is there. {reason}"));
                }
                let key = if setting == HOST { SUBDOMAIN } else { setting };
                if let Some(after) = wanted.services.get(name)
                    && self.effective(name, before, key) != self.effective(name, after, key)
                {
                    let at = format!("/services/{name}/{key}");
                    invalid.push(at, "fixed", format!("cannot change any more. {reason}"));
                }
            }
        }
        invalid.or(())
    }

    /// What a setting comes down to: its value, or the default.
    fn effective(&self, service: &ServiceName, selection: &ServiceSelection, setting: &str) -> Value {
        let given = selection.settings.get(setting).and_then(|value| serde_json::to_value(value).ok());
        let default = || Some(self.schema(service.as_str())?["properties"][setting]["default"].clone());
        given.or_else(default).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{draft, offer};
    use super::*;
    use serde_json::json;

    fn spec(domain: &str, services: Value) -> TenantSpec {
        let mut draft = draft(services);
        draft.domain = domain.into();
        draft.try_into().unwrap()
    }

    fn broken(before: &TenantSpec, after: &TenantSpec) -> Vec<(String, String)> {
        let invalid = offer().check_fixed(before, after).err();
        let errors = invalid.iter().flat_map(Invalid::errors);
        errors.map(|error| (error.field.clone(), error.rule.clone())).collect()
    }

    fn fixed(field: &str) -> (String, String) {
        (field.to_owned(), "fixed".to_owned())
    }

    #[test]
    fn a_mastodon_keeps_its_name_and_how_it_federates_for_good() {
        let before = spec("acme.example", json!({"mastodon": {}, "galene": {}}));
        let after =
            spec("acme.example", json!({"mastodon": {"limited_federation": true, "subdomain": "toot"}}));
        let expected =
            [fixed("/services/mastodon/subdomain"), fixed("/services/mastodon/limited_federation")];
        assert_eq!(broken(&before, &after), expected);
        assert_eq!(broken(&before, &spec("acme.org", json!({"mastodon": {}}))), [fixed("/domain")]);
        // Saying what is the case anyway is no change; nor is taking it off.
        let same = json!({"mastodon": {"subdomain": "social", "language": "de"}});
        assert!(broken(&before, &spec("acme.example", same)).is_empty());
        assert!(broken(&before, &spec("acme.example", json!({}))).is_empty());
    }

    #[test]
    fn what_nobody_relies_on_may_move() {
        let before = spec("acme.example", json!({"galene": {}, "mastodon": {"enable": false}}));
        assert!(broken(&before, &spec("acme.org", json!({"galene": {"subdomain": "talk"}}))).is_empty());
    }
}
