//! How a tenant is to be here that a bundle or a repository holds, and what keeps it from that: everything at once, and nothing is changed.

use berth_contract::ServicesPatch;
use berth_domain::{MachineName, Mode, Obstacle, OperationId, PlanName, TenantDraft, TenantName, TenantSpec};
use serde_json::Value;

use super::changes::change;
use super::preflight::{fitting, own};
use crate::problem::Problem;
use crate::state::Api;

/// How a tenant is to be here.
pub(crate) struct Wish<'a> {
    /// The machine that it comes to.
    pub(crate) machine: &'a MachineName,
    /// What it is called.
    pub(crate) name: Option<&'a TenantName>,
    /// Its domain.
    pub(crate) domain: Option<&'a str>,
    /// The plan that it gets.
    pub(crate) plan: Option<&'a PlanName>,
    /// What differs of its services: a merge patch.
    pub(crate) services: &'a ServicesPatch,
}

/// A tenant that was brought.
pub(crate) struct Brought {
    /// What it would be here, its services stopped; nothing where it cannot be anything here.
    pub(crate) spec: Option<TenantSpec>,
    /// The version of the tenant that an earlier try left here.
    pub(crate) own: Option<i64>,
    /// Why it cannot be made.
    pub(crate) obstacles: Vec<Obstacle>,
}

impl Wish<'_> {
    /// Looks at a tenant as it was; `earlier` is the operation of the last try, and `obstacles` are known already.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn examine(
        &self,
        api: &Api,
        earlier: Option<OperationId>,
        was: TenantDraft,
        mut obstacles: Vec<Obstacle>,
    ) -> Result<Brought, Problem> {
        let mut draft = self.here(was);
        if let Err(obstacle) = change(&mut draft, self.services) {
            let (spec, own) = (None, None);
            obstacles.push(obstacle);
            return Ok(Brought { spec, own, obstacles });
        }
        let own = own(api, earlier, &draft.name).await?;
        let spec = fitting(api, draft, own.as_ref().map(|own| &own.spec), &mut obstacles).await?;
        Ok(Brought { spec, own: own.map(|own| own.version), obstacles })
    }

    /// What was given in confidence at these places, and is neither here nor given anew.
    pub(crate) fn lacks(&self, places: Vec<String>, why: &str) -> Vec<Obstacle> {
        let patch = Value::Object(self.services.0.clone());
        let obstacle = |at: String| Obstacle {
            code: "given-in-confidence".into(),
            message: format!("was given to the old provider in confidence, {why}: give it anew, or null"),
            field: Some(format!("/services{at}")),
        };
        places.into_iter().filter(|at| !says(&patch, at)).map(obstacle).collect()
    }

    /// The tenant as it would be here, its services stopped.
    fn here(&self, was: TenantDraft) -> TenantDraft {
        TenantDraft {
            name: self.name.map_or(was.name, ToString::to_string),
            domain: self.domain.map_or(was.domain, str::to_owned),
            machine: self.machine.to_string(),
            plan: self.plan.map(ToString::to_string),
            // The words of another provider's own.
            labels: Vec::new(),
            mode: Some(Mode::Standby.word().into()),
            notice: None,
            moved_to: None,
            ..was
        }
    }
}

/// Whether a merge patch says something of a place, or puts something else in place of what is around it.
fn says(patch: &Value, at: &str) -> bool {
    let mut around = patch;
    for name in at.split('/').skip(1) {
        let Value::Object(members) = around else { return true };
        match members.get(&name.replace("~1", "/").replace("~0", "~")) {
            Some(inner) => around = inner,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_taken_away_as_a_whole_needs_no_secret_any_more() {
        let patch =
            json!({ "gitea": { "smtp": { "password": "new", "host": "a" }, "object_storage": null } });
        for said in ["/gitea/smtp/password", "/gitea/object_storage/secret_key", "/gitea/object_storage"] {
            assert!(says(&patch, said), "{said}");
        }
        for unsaid in ["/gitea/smtp/other", "/mastodon/smtp/password", "/gitea/later/key"] {
            assert!(!says(&patch, unsaid), "{unsaid}");
        }
    }
}
