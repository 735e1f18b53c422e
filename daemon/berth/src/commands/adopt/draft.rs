//! From the files' data to the tenant that the API takes.

use berth_domain::{TenantDraft, TenantName};
use serde_json::Value;

use super::{Obstacle, folder};

/// The tenant's name; an obstacle where there is none.
pub(super) fn name(tenant: &Value, obstacles: &mut Vec<Obstacle>) -> Option<TenantName> {
    let problem = match tenant.get("name") {
        Some(Value::String(name)) => match name.parse() {
            Ok(name) => return Some(name),
            Err(error) => format!("{error}"),
        },
        _ => "it says nowhere whose configuration this is".to_owned(),
    };
    // What is known to be no data is told already.
    if obstacles.is_empty() {
        obstacles.push(Obstacle {
            file: folder::TENANT.into(),
            attribute: "berth.tenant.name".into(),
            message: problem,
        });
    }
    None
}

/// Of a machine, a tenant's specification holds the name alone: what else was edited cannot be taken back.
pub(super) fn check_machine(current: &Value, edited: &Value, obstacles: &mut Vec<Obstacle>) {
    let empty = serde_json::Map::new();
    let (old, new) = (current.as_object().unwrap_or(&empty), edited.as_object().unwrap_or(&empty));
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        if name != "name" && old.get(name) != new.get(name) {
            obstacles.push(Obstacle {
                file: folder::MACHINE.into(),
                attribute: format!("berth.machine.{name}"),
                message: "it is how the machine was registered, and not part of the tenant".into(),
            });
        }
    }
}

/// The tenant as `PUT` takes it.
pub(super) fn of(mut tenant: Value, machine: &Value, obstacles: &mut Vec<Obstacle>) -> Option<TenantDraft> {
    if let Value::Object(values) = &mut tenant {
        values.insert("machine".to_owned(), machine["name"].clone());
    }
    serde_json::from_value(tenant)
        .map_err(|error| {
            let message = format!("it is no tenant: {error}");
            obstacles.push(Obstacle {
                file: folder::TENANT.into(),
                attribute: "berth.tenant".into(),
                message,
            });
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whose_configuration_it_is_must_be_said() {
        let mut obstacles = Vec::new();
        assert_eq!(name(&json!({"name": "acme"}), &mut obstacles).unwrap().as_str(), "acme");
        assert!(obstacles.is_empty());
        for bad in [json!(null), json!({"name": 1}), json!({"name": "No Label"})] {
            let mut obstacles = Vec::new();
            assert!(name(&bad, &mut obstacles).is_none());
            assert_eq!(obstacles[0].attribute, "berth.tenant.name");
        }
    }

    #[test]
    fn of_a_machine_only_the_name_can_change() {
        let mut obstacles = Vec::new();
        let machine = |name: &str, tls: &str| json!({"name": name, "tls": tls});
        check_machine(&machine("vm1", "acme"), &machine("vm2", "acme"), &mut obstacles);
        assert!(obstacles.is_empty());
        check_machine(&machine("vm1", "acme"), &machine("vm1", "none"), &mut obstacles);
        check_machine(&json!({}), &json!({"x": 1}), &mut obstacles);
        let named: Vec<_> = obstacles.iter().map(|obstacle| obstacle.attribute.as_str()).collect();
        assert_eq!(named, ["berth.machine.tls", "berth.machine.x"]);
    }
}
