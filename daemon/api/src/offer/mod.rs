//! The services on offer, and a tenant's settings against their schemas.
//!
//! | module | subject |
//! | --- | --- |
//! | `needs` | settings that need another service of the tenant |
//! | `fixed` | what cannot be changed any more once it was deployed |

mod fixed;
mod needs;

use std::collections::BTreeMap;

use berth_contract::Service;
use berth_domain::catalogue::{Catalogue, CatalogueEntry};
use berth_domain::invalid::pointer_segment;
use berth_domain::{Invalid, ServiceName, ServiceSelection, Setting, TenantSpec};
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

/// The setting that names a service's sub-domain.
const SUBDOMAIN: &str = "subdomain";

/// The services on offer.
pub struct Offer {
    services: BTreeMap<ServiceName, Offered>,
}

struct Offered {
    entry: CatalogueEntry,
    settings: Validator,
}

/// A catalogue that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the schema of the service “{service}” cannot be used: {reason}")]
pub struct BadCatalogue {
    /// The service.
    pub service: ServiceName,
    /// What is wrong with its schema.
    pub reason: String,
}

impl Offer {
    /// Prepares the catalogue's schemas.
    ///
    /// # Errors
    /// [`BadCatalogue`] for a schema that is none.
    pub fn new(catalogue: Catalogue) -> Result<Self, BadCatalogue> {
        let services = catalogue.services.into_iter().map(|(name, entry)| {
            let schema =
                jsonschema::draft202012::options().should_validate_formats(true).build(&entry.settings);
            let settings =
                schema.map_err(|error| BadCatalogue { service: name.clone(), reason: error.to_string() })?;
            Ok((name, Offered { entry, settings }))
        });
        Ok(Self { services: services.collect::<Result<_, _>>()? })
    }

    /// Every service, by name.
    pub fn services(&self) -> impl Iterator<Item = Service> {
        self.services
            .iter()
            .map(|(name, offered)| Service { name: name.clone(), entry: offered.entry.clone() })
    }

    /// One service.
    pub fn service(&self, name: &str) -> Option<Service> {
        let (name, offered) = self.services.get_key_value(name)?;
        Some(Service { name: name.clone(), entry: offered.entry.clone() })
    }

    /// The schema of a service's settings.
    pub fn schema(&self, service: &str) -> Option<&Value> {
        self.services.get(service).map(|offered| &offered.entry.settings)
    }

    /// Checks that a tenant's services are on offer, that their settings fit their schemas, and that no two of them
    /// want the same sub-domain.
    ///
    /// # Errors
    /// Every broken rule, with its place in the tenant.
    pub fn check(&self, services: &BTreeMap<String, Map<String, Value>>) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        for (name, settings) in services {
            let at = format!("/services/{}", pointer_segment(name));
            match self.services.get(name.as_str()) {
                Some(offered) => offered.check(settings, &at, &mut invalid),
                None => invalid.push(at, "unknown-service", self.names()),
            }
        }
        self.check_subdomains(services, &mut invalid);
        self.check_needs(services, &mut invalid);
        invalid.or(())
    }

    /// Where each enabled service of a tenant is to be found.
    pub fn urls(&self, tenant: &TenantSpec, scheme: &str) -> BTreeMap<ServiceName, String> {
        let enabled = tenant.services.iter().filter(|(_, selection)| selection.enable);
        enabled
            .filter_map(|(name, selection)| {
                let subdomain = self.subdomain(name, selection)?;
                Some((name.clone(), format!("{scheme}://{subdomain}.{}", tenant.domain)))
            })
            .collect()
    }

    fn subdomain<'a>(&'a self, name: &ServiceName, selection: &'a ServiceSelection) -> Option<&'a str> {
        match selection.settings.get(SUBDOMAIN) {
            Some(Setting::Text(subdomain)) => Some(subdomain),
            _ => Some(&self.services.get(name)?.entry.subdomain),
        }
    }

    fn check_subdomains(&self, services: &BTreeMap<String, Map<String, Value>>, invalid: &mut Invalid) {
        let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
        let enabled =
            services.iter().filter(|(_, settings)| settings.get("enable") != Some(&Value::Bool(false)));
        for (name, settings) in enabled {
            let chosen = settings.get(SUBDOMAIN).and_then(Value::as_str);
            let usual = self.services.get(name.as_str()).map(|offered| offered.entry.subdomain.as_str());
            let Some(subdomain) = chosen.or(usual) else { continue };
            if let Some(other) = taken.insert(subdomain, name) {
                let at = format!("/services/{}/{SUBDOMAIN}", pointer_segment(name));
                invalid.push(at, "unique", format!("is the sub-domain of the service “{other}” already"));
            }
        }
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.services.keys().map(ServiceName::as_str).collect();
        format!("is no service on offer; there are {}", names.join(", "))
    }
}

impl Offered {
    fn check(&self, settings: &Map<String, Value>, at: &str, invalid: &mut Invalid) {
        let settings = Value::Object(settings.clone());
        for error in self.settings.iter_errors(&settings) {
            let place = format!("{at}{}", error.instance_path());
            match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected } => {
                    for field in unexpected {
                        let field = format!("{place}/{}", pointer_segment(field));
                        invalid.push(field, "unknown-field", "is no setting of this service");
                    }
                }
                // Masked: a value may be a secret.
                _ => invalid.push(place, error.kind().keyword(), error.masked_with("the value").to_string()),
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use berth_domain::TenantDraft;
    use serde_json::json;

    pub(super) fn offer() -> Offer {
        let catalogue = include_str!("../../../../modules/catalogue.json");
        Offer::new(serde_json::from_str(catalogue).unwrap()).unwrap()
    }

    pub(super) fn draft(services: Value) -> TenantDraft {
        serde_json::from_value(json!({
            "name": "acme", "domain": "acme.example", "contact_email": "a@acme.example", "machine": "vm1",
            "services": services
        }))
        .unwrap()
    }

    fn broken(services: Value) -> Vec<(String, String)> {
        let invalid = offer().check(&draft(services).services).unwrap_err();
        invalid.errors().iter().map(|error| (error.field.clone(), error.rule.clone())).collect()
    }

    #[test]
    fn settings_obey_their_schema_and_every_mistake_is_told_with_its_place() {
        assert!(
            offer()
                .check(&draft(json!({"gitea": {"app_name": "Acme Git"}, "peertube": {}})).services)
                .is_ok()
        );
        let mut found = broken(json!({
            "gitea": {"app_name": "", "registration": "sometimes", "no_such": 1},
            "mastodon": {"media_retention_days": "x"},
            "minecraft": {}
        }));
        found.sort();
        let expected = [
            ("/services/gitea/app_name", "minLength"),
            ("/services/gitea/app_name", "pattern"),
            ("/services/gitea/no_such", "unknown-field"),
            ("/services/gitea/registration", "enum"),
            ("/services/mastodon/media_retention_days", "type"),
            ("/services/minecraft", "unknown-service"),
        ];
        assert_eq!(found, expected.map(|(field, rule)| (field.to_owned(), rule.to_owned())));
    }

    #[test]
    fn a_message_never_repeats_the_value_which_may_be_a_secret() {
        let draft = draft(json!({"gitea": {"registration": "hunter2"}}));
        let invalid = offer().check(&draft.services).unwrap_err();
        assert!(!invalid.to_string().contains("hunter2"), "{invalid}");
    }

    #[test]
    fn two_services_never_share_a_subdomain_unless_one_is_switched_off() {
        let clash = json!({"gitea": {"subdomain": "video"}, "peertube": {}});
        assert_eq!(broken(clash), [("/services/peertube/subdomain".to_owned(), "unique".to_owned())]);
        let apart = json!({"gitea": {"subdomain": "video"}, "peertube": {"enable": false}});
        assert!(offer().check(&draft(apart).services).is_ok());
    }

    #[test]
    fn links_follow_the_domain_and_the_chosen_subdomain() {
        let draft =
            draft(json!({"gitea": {"subdomain": "code"}, "mastodon": {}, "peertube": {"enable": false}}));
        let urls: Vec<_> = offer().urls(&draft.try_into().unwrap(), "https").into_values().collect();
        assert_eq!(urls, ["https://code.acme.example", "https://social.acme.example"]);
    }
}
