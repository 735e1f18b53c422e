//! What customers give in confidence: settings that their schema calls `writeOnly`.
//!
//! The value is sealed before the tenant is stored, and never shown again. A change that leaves it out keeps it; `null`
//! removes it; a text takes its place, under the next number that no revision uses.

use berth_domain::setting::SECRET;
use berth_domain::{SealedSecret, Setting, TenantDraft, TenantSpec};
use berth_seal::{About, Keys};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::offer::Offer;
use crate::problem::Problem;

/// Seals what a draft gives, and takes over from `stored` what it leaves out. The draft must fit its schemas.
///
/// # Errors
/// Something cannot be sealed.
pub(crate) fn seal(
    draft: &mut TenantDraft,
    offer: &Offer,
    keys: &Keys,
    stored: Option<&TenantSpec>,
    earlier: &[TenantSpec],
) -> Result<(), Problem> {
    let tenant = draft.name.clone();
    let settings_of = |spec: &TenantSpec, service: &str| {
        spec.services.get(service).map(|selection| Setting::Attrs(selection.settings.clone()))
    };
    for (service, settings) in &mut draft.services {
        let Some(schema) = offer.schema(service) else { continue };
        let before = stored.and_then(|spec| settings_of(spec, service));
        let earlier = earlier.iter().filter_map(|spec| settings_of(spec, service)).collect();
        let sealer = Sealer { tenant: &tenant, service, keys, before: before.as_ref(), earlier };
        sealer.object(schema, "", settings)?;
    }
    Ok(())
}

/// Whether a draft, which must fit its schemas, gives a secret.
pub(crate) fn gives_any(draft: &TenantDraft, offer: &Offer) -> bool {
    let given = |(service, settings)| offer.schema(service).is_some_and(|schema| gives(schema, settings));
    draft.services.iter().any(|(service, settings)| given((service.as_str(), settings)))
}

fn gives(schema: &Value, settings: &Map<String, Value>) -> bool {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.into_iter().any(|(name, property)| match settings.get(name) {
        Some(Value::String(_)) => property["writeOnly"] == true,
        Some(Value::Object(inner)) => gives(property, inner),
        _ => false,
    })
}

/// Takes the numbers out of a draft that stand in the place of what was given to somebody else; gives their places, as
/// `/SERVICE/SETTING`.
pub(crate) fn take_numbers(draft: &mut TenantDraft, offer: &Offer) -> Vec<String> {
    let mut places = Vec::new();
    for (service, settings) in &mut draft.services {
        if let Some(schema) = offer.schema(service) {
            take_numbers_of(schema, &format!("/{service}"), settings, &mut places);
        }
    }
    places
}

fn take_numbers_of(schema: &Value, at: &str, settings: &mut Map<String, Value>, places: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        // Names of settings are letters and `_`, which a pointer takes as they are.
        let at = format!("{at}/{name}");
        if property["writeOnly"] == true {
            if settings.remove(name).is_some_and(|value| !value.is_null()) {
                places.push(at);
            }
        } else if let Some(Value::Object(inner)) = settings.get_mut(name) {
            take_numbers_of(property, &at, inner, places);
        }
    }
}

/// A draft without its secrets, as it is shown.
pub(crate) fn without_secrets(mut draft: TenantDraft) -> TenantDraft {
    draft.services.values_mut().for_each(strip);
    draft
}

fn strip(settings: &mut Map<String, Value>) {
    settings.retain(|_, value| value.get(SECRET).is_none());
    for value in settings.values_mut() {
        if let Value::Object(inner) = value {
            strip(inner);
        }
    }
}

struct Sealer<'a> {
    tenant: &'a str,
    service: &'a str,
    keys: &'a Keys,
    before: Option<&'a Setting>,
    /// The service's settings in the tenant's revisions.
    earlier: Vec<Setting>,
}

impl Sealer<'_> {
    fn object(&self, schema: &Value, at: &str, settings: &mut Map<String, Value>) -> Result<(), Problem> {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            // Names of settings are letters and `_`, which a pointer takes as they are.
            let at = format!("{at}/{name}");
            if property["writeOnly"] == true {
                self.secret(&at, name, settings)?;
            } else if let Some(Value::Object(inner)) = settings.get_mut(name) {
                self.object(property, &at, inner)?;
            }
        }
        Ok(())
    }

    fn secret(&self, at: &str, name: &str, settings: &mut Map<String, Value>) -> Result<(), Problem> {
        let before = self.before.and_then(|before| before.secret_at(at));
        let secret = match settings.remove(name) {
            Some(Value::String(value)) => {
                let used = self.earlier.iter().filter_map(|earlier| earlier.secret_at(at)).chain(before);
                let version = used.map(|used| used.version).max().map_or(1, |newest| newest + 1);
                Some(SealedSecret { version, sealed: self.sealed(at, version, value)? })
            }
            Some(_) => None,
            None => before.cloned(),
        };
        if let Some(secret) = secret {
            settings.insert(name.to_owned(), json!({ SECRET: secret }));
        }
        Ok(())
    }

    fn sealed(&self, setting: &str, version: u64, value: String) -> Result<String, Problem> {
        let about = About {
            tenant: self.tenant.to_owned(),
            service: self.service.to_owned(),
            setting: setting.to_owned(),
            version,
        };
        self.keys.seal(&about, &SecretString::from(value)).map_err(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn offer() -> Offer {
        let catalogue = include_str!("../../../modules/catalogue.json");
        Offer::new(serde_json::from_str(catalogue).unwrap()).unwrap()
    }

    fn draft(password: Option<Value>) -> TenantDraft {
        let mut smtp = json!({ "host": "smtp.example.net", "from": "git@acme.example" });
        if let Some(password) = password {
            smtp["password"] = password;
        }
        serde_json::from_value(json!({
            "name": "acme", "domain": "acme.example", "contact_email": "a@acme.example", "machine": "vm1",
            "services": { "gitea": { "smtp": smtp } }
        }))
        .unwrap()
    }

    fn stored(keys: &Keys, password: Option<Value>, before: Option<&TenantSpec>) -> TenantSpec {
        let mut draft = draft(password);
        offer().check(&draft.services).unwrap();
        seal(&mut draft, &offer(), keys, before, &[]).unwrap();
        TenantSpec::try_from(draft).unwrap()
    }

    fn secret(spec: &TenantSpec) -> Option<SealedSecret> {
        Setting::Attrs(spec.services["gitea"].settings.clone()).secret_at("/smtp/password").cloned()
    }

    #[test]
    fn a_secret_is_sealed_kept_replaced_and_removed_and_never_shown() {
        let keys = Keys::generate();
        let first = stored(&keys, Some(json!("hunter2")), None);
        assert!(!serde_json::to_string(&first).unwrap().contains("hunter2"));
        assert_eq!(secret(&first).unwrap().version, 1);
        let shown = serde_json::to_string(&without_secrets(first.clone().into())).unwrap();
        assert!(!shown.contains("password") && shown.contains("smtp.example.net"), "{shown}");

        let kept = stored(&keys, None, Some(&first));
        assert_eq!(kept, first, "what was read can be written back without a change");
        let second = stored(&keys, Some(json!("hunter3")), Some(&first));
        let sealed = secret(&second).unwrap();
        assert_eq!(sealed.version, 2);
        let about = About {
            tenant: "acme".into(),
            service: "gitea".into(),
            setting: "/smtp/password".into(),
            version: 2,
        };
        assert_eq!(keys.open(&about, &sealed.sealed).unwrap().expose_secret(), "hunter3");
        assert!(secret(&stored(&keys, Some(Value::Null), Some(&second))).is_none());
    }

    #[test]
    fn what_stands_in_the_place_of_a_secret_elsewhere_is_taken_out_and_named() {
        let mut of_elsewhere = draft(Some(json!(3)));
        assert_eq!(take_numbers(&mut of_elsewhere, &offer()), ["/gitea/smtp/password"]);
        assert_eq!(of_elsewhere, draft(None));
        assert!(take_numbers(&mut draft(Some(Value::Null)), &offer()).is_empty());
    }

    #[test]
    fn nobody_can_give_a_sealed_secret_instead_of_a_text() {
        let sealed = json!({ SECRET: { "version": 1, "sealed": "AAAA" } });
        assert!(offer().check(&draft(Some(sealed)).services).is_err());
    }
}
