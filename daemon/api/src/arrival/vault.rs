//! What a tenant that a repository of snapshots holds would be here, and what keeps it from that.

use berth_domain::{Obstacle, OperationId, TenantDraft};
use berth_engine::offsite::{NEWEST, Told};
use berth_engine::{Failure, StepError};
use berth_protocol::GivenSetting;
use serde_json::Value;

use super::wish::{Brought, Wish};
use crate::given;
use crate::offer::Offer;
use crate::problem::Problem;
use crate::state::Api;

/// Looks at what is to be made of a snapshot; `earlier` is the operation of the last try.
///
/// # Errors
/// The database failed.
pub(crate) async fn examine_vault(
    api: &Api,
    earlier: Option<OperationId>,
    told: &Told,
    wish: &Wish<'_>,
) -> Result<Brought, Problem> {
    let mut draft = told.file.specification.clone();
    let missing = give_back(&mut draft, &told.file.given, &api.offer);
    let obstacles = wish.lacks(missing, "and the snapshot does not have it");
    wish.examine(api, earlier, draft, obstacles).await
}

/// There is no snapshot that a tenant can be made of.
pub(crate) fn none() -> Obstacle {
    let message = format!(
        "none of the newest {NEWEST} snapshots in the repository holds all services with the tenant's settings and secrets; an older one, or \
         one that is not whole, has to be named, and to hold those"
    );
    Obstacle { code: "no-snapshot".into(), message, field: Some("/snapshot".into()) }
}

/// The newest snapshot that might be whole cannot be read, and nobody has named another one.
pub(crate) fn unread(error: StepError) -> StepError {
    match error {
        StepError::Failed(failure) => {
            let message =
                format!("the newest snapshot cannot be taken: {}; name an older one", failure.message);
            StepError::Failed(Box::new(Failure { message, ..*failure }))
        }
        error => error,
    }
}

/// The same, as what is in the way.
pub(crate) fn unreadable(error: &StepError) -> Obstacle {
    let error = unread(error.clone());
    let code = match &error {
        StepError::Failed(failure) => failure.code,
        _ => "internal",
    };
    Obstacle { code: code.into(), message: error.to_string(), field: Some("/snapshot".into()) }
}

/// Puts what was given in confidence back where numbers stand in its place; gives the places of which nothing is known.
fn give_back(draft: &mut TenantDraft, given: &[GivenSetting], offer: &Offer) -> Vec<String> {
    let mut places = given::take_numbers(draft, offer);
    for GivenSetting { service, setting, value, .. } in given {
        let at = format!("/{service}{setting}");
        // Nothing that this provider would not seal is taken for a secret.
        let Some(known) = places.iter().position(|place| *place == at) else { continue };
        let (Some(settings), Some((folders, name))) =
            (draft.services.get_mut(service), setting.rsplit_once('/'))
        else {
            continue;
        };
        let mut around = Some(settings);
        for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
            around = around.and_then(|inner| inner.get_mut(folder)?.as_object_mut());
        }
        if let Some(around) = around {
            around.insert(name.to_owned(), Value::String(value.expose().to_owned()));
            places.remove(known);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;
    use serde_json::json;

    #[test]
    fn what_was_given_in_confidence_comes_back_to_its_place_and_to_no_other() {
        let catalogue = include_str!("../../../../modules/catalogue.json");
        let offer = Offer::new(serde_json::from_str(catalogue).unwrap()).unwrap();
        let smtp = json!({ "host": "smtp.example.net", "from": "git@acme.example", "password": 3 });
        let mut draft: TenantDraft = serde_json::from_value(json!({
            "name": "acme", "domain": "acme.example", "contact_email": "a@acme.example", "machine": "vm1",
            "services": { "gitea": { "smtp": smtp }, "mastodon": { "smtp": smtp } }
        }))
        .unwrap();
        let given = |service: &str, setting: &str| GivenSetting {
            service: service.into(),
            setting: setting.into(),
            version: 3,
            value: SecretString::from("hunter2").into(),
        };
        let all = [given("gitea", "/smtp/password"), given("gitea", "/smtp/host"), given("none", "/x")];
        let missing = give_back(&mut draft, &all, &offer);
        assert_eq!(missing, ["/mastodon/smtp/password"]);
        assert_eq!(draft.services["gitea"]["smtp"]["password"], "hunter2");
        assert_eq!(draft.services["gitea"]["smtp"]["host"], "smtp.example.net");
        assert!(draft.services["mastodon"]["smtp"].get("password").is_none());
    }
}
