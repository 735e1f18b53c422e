//! Secrets that were given in confidence: in the files a number stands for each, and the daemon has the text.

use berth_contract::Service;
use serde_json::{Map, Value};

use super::{Obstacle, folder, place};

/// Takes the secrets out of a tenant's data: what is as the daemon has it is left out, which keeps it; what is gone is
/// null, which removes it. Anything else cannot be taken back, as the files are no place for a secret's text.
pub(super) fn take_out(
    services: &[Service],
    current: &Value,
    edited: &mut Value,
    obstacles: &mut Vec<Obstacle>,
) {
    for secret in services.iter().flat_map(secrets_of) {
        let before = current.pointer(&secret).filter(|before| !before.is_null());
        let Some((settings, name)) = holder(edited, &secret) else { continue };
        match (settings.remove(name).filter(|now| !now.is_null()), before) {
            (Some(now), Some(before)) if now == *before => {}
            (Some(_), before) => obstacles.push(given_elsewhere(&secret, before)),
            (None, Some(_)) => {
                settings.insert(name.to_owned(), Value::Null);
            }
            (None, None) => {}
        }
    }
}

/// The same data as it may be shown: whatever stands in a secret's place and is no number is not.
pub(super) fn hide(services: &[Service], mut tenant: Value) -> Value {
    for secret in services.iter().flat_map(secrets_of) {
        if let Some(value) = tenant.pointer_mut(&secret)
            && !(value.is_u64() || value.is_null())
        {
            *value = "(not shown)".into();
        }
    }
    tenant
}

/// Where a service's secrets are in a tenant, as JSON pointers. Names of settings are letters and `_`, which a pointer takes
/// as they are.
fn secrets_of(service: &Service) -> Vec<String> {
    fn collect(schema: &Value, at: &str, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            if property["writeOnly"] == true {
                found.push(at);
            } else {
                collect(property, &at, found);
            }
        }
    }
    let mut found = Vec::new();
    collect(&service.entry.settings, &format!("/services/{}", service.name), &mut found);
    found
}

/// The set that holds a secret, if there is one, and the secret's name in it.
fn holder<'a, 'b>(tenant: &'a mut Value, secret: &'b str) -> Option<(&'a mut Map<String, Value>, &'b str)> {
    let (parent, name) = secret.rsplit_once('/')?;
    Some((tenant.pointer_mut(parent)?.as_object_mut()?, name))
}

fn given_elsewhere(secret: &str, before: Option<&Value>) -> Obstacle {
    let stands = match before {
        Some(number) => format!("the number {number} stands for the one that the daemon has"),
        None => "the daemon has none".to_owned(),
    };
    let message =
        format!("it is a secret, whose text is given to the API and not written into files; {stands}");
    Obstacle { file: folder::TENANT.into(), attribute: place::of_pointer(secret), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({
            "name": "gitea",
            "entry": {
                "title": "Gitea", "summary": "", "homepage": "", "subdomain": "git", "memory_mib": 1, "disk_mib": 1,
                "sources": [], "fixed": {}, "groups": [],
                "settings": { "properties": {
                    "app_name": { "type": "string" },
                    "smtp": { "properties": { "host": {}, "password": { "writeOnly": true } } }
                } }
            }
        }))
        .unwrap()
    }

    fn taken(current: Value, edited: Value) -> (Value, Vec<Obstacle>) {
        let of =
            |password: Value| json!({"services": {"gitea": {"smtp": {"host": "h", "password": password}}}});
        let mut tenant = of(edited);
        let mut obstacles = Vec::new();
        take_out(&[service()], &of(current), &mut tenant, &mut obstacles);
        (tenant["services"]["gitea"]["smtp"].clone(), obstacles)
    }

    #[test]
    fn a_number_that_stayed_keeps_the_secret_and_one_that_went_removes_it() {
        assert_eq!(taken(json!(2), json!(2)), (json!({"host": "h"}), vec![]));
        assert_eq!(taken(json!(2), Value::Null), (json!({"host": "h", "password": null}), vec![]));
        assert_eq!(taken(Value::Null, Value::Null), (json!({"host": "h"}), vec![]));
    }

    #[test]
    fn a_secret_in_clear_is_neither_taken_nor_repeated() {
        for (current, edited) in [(json!(1), json!(2)), (json!(1), json!("hunter2")), (Value::Null, json!(1))]
        {
            let (smtp, obstacles) = taken(current, edited);
            assert_eq!((smtp, obstacles.len()), (json!({"host": "h"}), 1));
            assert_eq!(obstacles[0].attribute, "berth.tenant.services.gitea.smtp.password");
            assert!(!obstacles[0].message.contains("hunter2"), "{}", obstacles[0].message);
        }
        let of = |password: Value| json!({"services": {"gitea": {"smtp": {"password": password}}}});
        assert_eq!(hide(&[service()], of(json!(2))), of(json!(2)));
        for bad in [json!("hunter2"), json!(["hunter2"]), json!({"a": "hunter2"})] {
            assert_eq!(hide(&[service()], of(bad)), of(json!("(not shown)")));
        }
    }
}
