//! What a tenant that a bundle holds would be here, and what keeps it from that: everything at once, and nothing is changed.

use std::collections::BTreeSet;

use berth_contract::NewImport;
use berth_domain::{BundleAbout, Mode, Obstacle, OperationId, TenantDraft, TenantSpec};
use serde_json::Value;

use super::preflight::{fitting, own};
use crate::given;
use crate::problem::Problem;
use crate::state::Api;

/// A tenant that is to be made of a bundle.
pub(crate) struct Unpacked {
    /// What it would be here, its services stopped; nothing where it cannot be anything here.
    pub(crate) spec: Option<TenantSpec>,
    /// The version of the tenant that an earlier try with the same bundle left here.
    pub(crate) own: Option<i64>,
    /// Why it cannot be made.
    pub(crate) obstacles: Vec<Obstacle>,
}

/// Looks at what is to be made of a bundle; `earlier` is the operation of the last try.
///
/// # Errors
/// The database failed.
pub(crate) async fn examine_bundle(
    api: &Api,
    earlier: Option<OperationId>,
    about: &BundleAbout,
    wanted: &NewImport,
) -> Result<Unpacked, Problem> {
    let mut obstacles = secrets(about, wanted);
    let mut draft = here(about, wanted);
    let given_before = given::take_numbers(&mut draft, &api.offer);
    if let Err(obstacle) = change(&mut draft, wanted) {
        let (spec, own) = (None, None);
        obstacles.push(obstacle);
        return Ok(Unpacked { spec, own, obstacles });
    }
    let patch = Value::Object(wanted.services.clone());
    obstacles.extend(
        given_before.into_iter().filter(|at| patch.pointer(at).is_none()).map(|at| Obstacle {
            code: "given-in-confidence".into(),
            message:
                "was given to the old provider in confidence, which is in no bundle: give it anew, or null"
                    .into(),
            field: Some(format!("/services{at}")),
        }),
    );
    let own = own(api, earlier, &draft.name).await?;
    let spec = fitting(api, draft, own.as_ref().map(|own| &own.spec), &mut obstacles).await?;
    Ok(Unpacked { spec, own: own.map(|own| own.version), obstacles })
}

/// The tenant as it would be here, its services stopped.
fn here(about: &BundleAbout, wanted: &NewImport) -> TenantDraft {
    let was = about.specification.clone();
    TenantDraft {
        name: wanted.name.as_ref().map_or(was.name, ToString::to_string),
        domain: wanted.domain.clone().unwrap_or(was.domain),
        machine: wanted.machine.to_string(),
        plan: wanted.plan.as_ref().map(ToString::to_string),
        // The words of another provider's own.
        labels: Vec::new(),
        mode: Some(Mode::Standby.word().into()),
        notice: None,
        moved_to: None,
        ..was
    }
}

/// Changes its services as the request says.
fn change(draft: &mut TenantDraft, wanted: &NewImport) -> Result<(), Obstacle> {
    let no_services =
        |message: String| Obstacle { code: "type".into(), message, field: Some("/services".into()) };
    let mut services =
        serde_json::to_value(&draft.services).map_err(|error| no_services(error.to_string()))?;
    json_patch::merge(&mut services, &Value::Object(wanted.services.clone()));
    // What was expected is said, and not what was found, which may be a secret.
    draft.services = serde_json::from_value(services)
        .map_err(|_| no_services("each service's settings must be an object".into()))?;
    Ok(())
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
