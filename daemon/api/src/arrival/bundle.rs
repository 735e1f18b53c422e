//! What a tenant that a bundle holds would be here, and what keeps it from that: everything at once, and nothing is changed.

use std::collections::BTreeSet;

use berth_contract::NewImport;
use berth_domain::{BundleAbout, Obstacle, OperationId};

use super::buckets::without_bucket;
use super::wish::{Brought, Wish};
use crate::given;
use crate::problem::Problem;
use crate::state::Api;

/// Looks at what is to be made of a bundle; `earlier` is the operation of the last try.
///
/// # Errors
/// The database failed.
pub(crate) async fn examine_bundle(
    api: &Api,
    earlier: Option<OperationId>,
    about: &BundleAbout,
    wanted: &NewImport,
) -> Result<Brought, Problem> {
    let mut obstacles = secrets(about, wanted);
    let wish = Wish {
        machine: &wanted.machine,
        name: wanted.name.as_ref(),
        domain: wanted.domain.as_deref(),
        plan: wanted.plan.as_ref(),
        services: &wanted.services,
    };
    let mut draft = about.specification.clone();
    let given_before = given::take_numbers(&mut draft, &api.offer);
    obstacles.extend(wish.lacks(given_before, "which is in no bundle"));
    let mut brought = wish.examine(api, earlier, draft, obstacles).await?;
    if let (Some(spec), true) = (&brought.spec, wanted.go_live) {
        let with_objects =
            about.services.iter().filter(|(_, held)| held.buckets.values().any(|bucket| bucket.objects > 0));
        let services = with_objects.map(|(service, _)| service);
        brought.obstacles.extend(without_bucket(&api.offer, spec, services));
    }
    Ok(brought)
}

/// Secrets of the bundle that are missing, and such that it does not have.
fn secrets(about: &BundleAbout, wanted: &NewImport) -> Vec<Obstacle> {
    let given: BTreeSet<String> =
        wanted.secrets.iter().map(|secret| format!("{}/{}", secret.service, secret.name)).collect();
    let sealed: BTreeSet<String> = about.secrets.iter().cloned().collect();
    let obstacle =
        |code: &str, message: String| Obstacle { code: code.into(), message, field: Some("/secrets".into()) };
    let unknown = given
        .difference(&sealed)
        .map(|secret| obstacle("unknown-secret", format!("there is no secret {secret} in the bundle")));
    let mut obstacles: Vec<Obstacle> = unknown.collect();
    let missing: Vec<&str> = sealed.difference(&given).map(String::as_str).collect();
    if !missing.is_empty() && !wanted.without_secrets {
        let message = format!(
            "secrets of the bundle are sealed and were not given: {}; open them with the key that they are sealed to, or say without_secrets",
            missing.join(", ")
        );
        obstacles.push(obstacle("secrets-sealed", message));
    }
    obstacles
}
