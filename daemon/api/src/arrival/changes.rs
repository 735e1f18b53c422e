//! What somebody who takes a tenant in wants to be different of its services, and what is in the way of that.

use berth_contract::ServicesPatch;
use berth_domain::{Obstacle, TenantDraft};
use serde_json::Value;

use crate::problem::Problem;

/// Changes a tenant's services.
///
/// # Errors
/// What comes of it are no services.
pub(crate) fn change(draft: &mut TenantDraft, patch: &ServicesPatch) -> Result<(), Obstacle> {
    let no_services =
        |message: String| Obstacle { code: "type".into(), message, field: Some("/services".into()) };
    let mut services =
        serde_json::to_value(&draft.services).map_err(|error| no_services(error.to_string()))?;
    json_patch::merge(&mut services, &Value::Object(patch.0.clone()));
    // What was expected is said, and not what was found, which may be a secret.
    draft.services = serde_json::from_value(services)
        .map_err(|_| no_services("each service's settings must be an object".into()))?;
    Ok(())
}

/// Everything that is in the way, as one refusal.
pub(crate) fn refused(obstacles: &[Obstacle]) -> Problem {
    let words: Vec<_> = obstacles.iter().map(|obstacle| obstacle.message.as_str()).collect();
    let mut problem = Problem::conflict("obstacles", words.join("; "));
    let fields = obstacles.iter().map(|obstacle| berth_domain::FieldError {
        field: obstacle.field.clone().unwrap_or_default(),
        rule: obstacle.code.clone(),
        message: obstacle.message.clone(),
    });
    problem.errors = fields.collect();
    problem
}
