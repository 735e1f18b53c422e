//! Whether a tenant that was brought has buckets for the objects that come with it.

use berth_domain::{Obstacle, ServiceName, Setting, TenantSpec};
use berth_engine::error::NO_BUCKET;

use crate::offer::Offer;

/// The setting by which services are told of an object store (modules/lib/blocks.nix).
const SETTING: &str = "object_storage";

/// Services whose objects come with them, and whose settings name no bucket or give no key to it. Only services that the catalogue knows
/// to have such a setting; of the others the built system says so.
pub(crate) fn without_bucket<'a>(
    offer: &Offer,
    spec: &TenantSpec,
    services: impl Iterator<Item = &'a ServiceName>,
) -> Vec<Obstacle> {
    let known = |service: &&ServiceName| {
        let schema = offer.schema(service.as_str());
        schema.is_some_and(|schema| schema.pointer(&format!("/properties/{SETTING}")).is_some())
    };
    let obstacle = |service: &ServiceName| {
        let store = spec.services.get(service).filter(|service| service.enable)?.settings.get(SETTING);
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
            field: Some(format!("/services/{service}/{SETTING}{field}")),
        })
    };
    services.filter(known).filter_map(obstacle).collect()
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
}
