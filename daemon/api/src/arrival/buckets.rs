//! Whether a tenant that comes has buckets for the objects that come with it.

use berth_domain::{Obstacle, ServiceName, Setting, TenantDraft, TenantSpec};
use berth_engine::buckets::OBJECT_STORAGE;
use berth_engine::error::NO_BUCKET;
use serde_json::Value;

use crate::offer::Offer;

/// Services whose objects come with them, and whose settings name no bucket or give no key to it. Only services that the catalogue knows
/// to have such a setting; of the others the built system says so.
pub(crate) fn without_bucket<'a>(
    offer: &Offer,
    spec: &TenantSpec,
    services: impl Iterator<Item = &'a ServiceName>,
) -> Vec<Obstacle> {
    let known = |service: &&ServiceName| {
        let schema = offer.schema(service.as_str());
        schema.is_some_and(|schema| schema.pointer(&format!("/properties{OBJECT_STORAGE}")).is_some())
    };
    let obstacle = |service: &ServiceName| {
        let store = spec
            .services
            .get(service)
            .filter(|service| service.enable)?
            .settings
            .get(OBJECT_STORAGE.trim_start_matches('/'));
        let (lacks, field) = match store {
            Some(Setting::Attrs(store)) if is_given(store.get("secret_key")) => return None,
            Some(Setting::Attrs(_)) => ("the settings give no key to its bucket", "/secret_key"),
            _ => ("the settings name no bucket", ""),
        };
        Some(Obstacle {
            code: NO_BUCKET.into(),
            message: format!(
                "objects of {service} come with the tenant, and {lacks}: name one in services, or start the services later"
            ),
            field: Some(format!("/services/{service}{OBJECT_STORAGE}{field}")),
        })
    };
    services.filter(known).filter_map(obstacle).collect()
}

/// Services whose objects are in a bucket at the source, and that would lose them: what is to differ names none, or one into which
/// nothing can be moved.
pub(crate) fn objects_left_behind(was: &TenantDraft, becomes: &TenantDraft) -> Vec<Obstacle> {
    let store = |draft: &TenantDraft, service: &str| {
        let settings = draft.services.get(service).map(|settings| Value::Object(settings.clone()))?;
        settings.pointer(OBJECT_STORAGE).filter(|store| store.is_object()).cloned()
    };
    let obstacle = |service: &String| {
        let old = store(was, service)?;
        let is_off = becomes.services.get(service)?.get("enable") == Some(&Value::Bool(false));
        let (lacks, field) = match store(becomes, service) {
            _ if is_off => return None,
            Some(new) if ["endpoint", "bucket"].iter().all(|name| new.get(name) == old.get(name)) => {
                return None;
            }
            Some(new) if !is_text(new.get("secret_key")) => {
                ("the settings give no key to its new bucket", "/secret_key")
            }
            Some(_) if !is_text(old.get("secret_key")) => {
                ("the old provider has given no key to its bucket, so that they cannot be moved", "")
            }
            Some(_) => return None,
            None => ("the settings would name no bucket for them", ""),
        };
        Some(Obstacle {
            code: NO_BUCKET.into(),
            message: format!("objects of {service} are in a bucket, and {lacks}"),
            field: Some(format!("/services/{service}{OBJECT_STORAGE}{field}")),
        })
    };
    was.services.keys().filter_map(obstacle).collect()
}

fn is_text(setting: Option<&Value>) -> bool {
    setting.is_some_and(Value::is_string)
}

fn is_given(setting: Option<&Setting>) -> bool {
    !matches!(setting, None | Some(Setting::Null))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn obstacles(settings: Value) -> Vec<Option<String>> {
        let catalogue = include_str!("../../../../modules/catalogue.json");
        let offer = Offer::new(serde_json::from_str(catalogue).unwrap()).unwrap();
        let draft: berth_domain::TenantDraft = serde_json::from_value(json!({
            "name": "acme", "domain": "acme.example", "contact_email": "a@acme.example", "machine": "vm1",
            "services": { "gitea": settings, "own": {} }
        }))
        .unwrap();
        let services: [ServiceName; 2] = ["gitea".parse().unwrap(), "own".parse().unwrap()];
        let spec: TenantSpec = draft.try_into().unwrap();
        without_bucket(&offer, &spec, services.iter()).into_iter().map(|obstacle| obstacle.field).collect()
    }

    #[test]
    fn objects_need_a_bucket_and_its_key_where_a_service_can_be_given_one() {
        let store = |key: Value| json!({ "object_storage": { "bucket": "media", "secret_key": key } });
        assert!(obstacles(store(json!("hunter2"))).is_empty());
        let bucket = Some("/services/gitea/object_storage".to_owned());
        assert_eq!(obstacles(json!({})), std::slice::from_ref(&bucket));
        assert_eq!(obstacles(json!({ "object_storage": null })), [bucket]);
        assert_eq!(
            obstacles(store(Value::Null)),
            [Some("/services/gitea/object_storage/secret_key".to_owned())]
        );
    }

    #[test]
    fn objects_are_left_behind_where_nothing_can_be_moved_and_only_where_something_is_to_differ() {
        let draft = |settings: Value| -> TenantDraft {
            serde_json::from_value(json!({
                "name": "acme", "domain": "acme.example", "contact_email": "a@acme.example", "machine": "vm1",
                "services": { "gitea": settings }
            }))
            .unwrap()
        };
        let store = |bucket: &str, key: Value| json!({ "object_storage": { "endpoint": "https://s3", "bucket": bucket, "secret_key": key } });
        let left = |was: Value, becomes: Value| {
            let found = objects_left_behind(&draft(was), &draft(becomes));
            found.into_iter().map(|obstacle| obstacle.field.unwrap()).collect::<Vec<_>>()
        };
        let (old, keyless) = (store("old", json!("k")), store("old", Value::Null));
        for becomes in [old.clone(), store("new", json!("k")), json!({ "enable": false })] {
            assert!(left(old.clone(), becomes).is_empty());
        }
        assert!(left(keyless.clone(), keyless.clone()).is_empty() && left(json!({}), old.clone()).is_empty());
        let bucket = "/services/gitea/object_storage";
        assert_eq!(left(old.clone(), json!({ "object_storage": null })), [bucket]);
        assert_eq!(left(old, store("new", Value::Null)), [format!("{bucket}/secret_key")]);
        assert_eq!(left(keyless, store("new", json!("k"))), [bucket]);
    }
}
