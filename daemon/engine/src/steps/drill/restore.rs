//! Each service's state comes back by itself: that one is damaged says nothing of the others.

use berth_domain::manifest::{Loss, ServiceManifest};
use berth_domain::{CapturedService, DrilledService, ServiceName, Snapshot, SnapshotPart, TenantPart};
use berth_protocol::{Claim, RestorePart, SecretsPart};
use berth_store::VaultRecord;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::state::{Bringing, restore_part, tell_what_is_missing};
use super::super::{Context, Outcome, millis};
use crate::error::StepError;
use crate::ports::{Report, Sink};

pub(in super::super) async fn restore(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let id = context.drill_record().await?.drill.snapshot;
    let (snapshot, vault) = context.readable(id, sink).await?;
    tell_what_is_missing(&snapshot, sink);
    let manifest = context.manifest().await?;
    for (service, contract) in &manifest.services {
        // A predecessor may have come further.
        if context.drill_record().await?.drill.services.contains_key(service) {
            continue;
        }
        // The machine goes on with what was begun, so that a wish to stop is heard between two services.
        if context.is_asked_to_stop() {
            return Err(StepError::Cancelled);
        }
        let found = context.bring_back(service, contract, &snapshot, &vault, sink).await?;
        let told = match (&found.problem, found.restore_ms) {
            (Some(problem), _) => Report::Warning(format!("{service} did not come back: {problem}")),
            (None, Some(took)) => Report::Line(format!("{service} is back after {took} ms")),
            (None, None) => Report::Line(format!("{service} has no state")),
        };
        sink(told);
        context.keep_found(|drill| drop(drill.services.insert(service.clone(), found))).await?;
    }
    let drill = &context.drill_record().await?.drill;
    let back = drill.services.values().filter(|service| service.problem.is_none()).count();
    Ok(Outcome::Done(format!("{back} of {} services are back", manifest.services.len())))
}

impl Context {
    async fn bring_back(
        &mut self,
        service: &ServiceName,
        contract: &ServiceManifest,
        snapshot: &Snapshot,
        vault: &VaultRecord,
        sink: &Sink,
    ) -> Result<DrilledService, StepError> {
        let kept = snapshot.tenant_part.as_ref();
        let held = kept.map_or(&[][..], |kept| kept.secrets_of(service));
        let mut found = DrilledService { left_out: made_anew(contract, held), ..DrilledService::default() };
        let captured = match snapshot.services.get(service) {
            Some(SnapshotPart::Captured(captured)) => captured,
            None if has_no_state(contract) => return Ok(found),
            None => return Ok(DrilledService { problem: Some("it is not in the snapshot".into()), ..found }),
            Some(SnapshotPart::Failed { message }) => {
                let problem = Some(format!("it is not in the snapshot: {message}"));
                return Ok(DrilledService { problem, ..found });
            }
        };
        found.left_out.extend(captured.left_out.iter().cloned());
        // Behind the fence, nobody could fetch them.
        for name in captured.buckets.keys() {
            let words = format!("{service}: the objects of the bucket {name} are not tried out");
            sink(Report::Warning(words));
        }
        let begun = Instant::now();
        match self.bring_back_part(service, captured, kept, vault, sink).await {
            Ok(()) => {
                found.restore_ms = Some(millis(begun.elapsed()));
                found.secrets = held.to_vec();
            }
            // What is wrong with the machine, or with the way to it, is wrong with all of them.
            Err(error) if error.is_out_of_touch() => return Err(error),
            Err(StepError::Failed(failure)) => found.problem = Some(failure.message),
            Err(error) => return Err(error),
        }
        Ok(found)
    }

    async fn bring_back_part(
        &mut self,
        service: &ServiceName,
        captured: &CapturedService,
        kept: Option<&TenantPart>,
        vault: &VaultRecord,
        sink: &Sink,
    ) -> Result<(), StepError> {
        let parts = vec![RestorePart { service: service.clone(), snapshot: captured.restic.clone() }];
        let secrets = kept
            .map(|kept| SecretsPart { snapshot: kept.restic.clone(), services: Some(vec![service.clone()]) });
        // The machine knows a restore by its operation, and each of these is one of its own.
        let operation = Uuid::new_v5(&self.operation, service.as_str().as_bytes());
        let claim = Claim { operation, fence: self.hold().fence };
        restore_part(self, Bringing { vault, parts, secrets, reuse: false }, claim, sink).await
    }
}

fn has_no_state(contract: &ServiceManifest) -> bool {
    let state = &contract.state;
    state.databases.is_empty() && state.directories.is_empty() && state.buckets.is_empty()
}

/// The secrets that no snapshot holds: the copy has others, as a machine that took its place would.
fn made_anew(contract: &ServiceManifest, held: &[String]) -> Vec<String> {
    let lost = contract
        .secrets
        .iter()
        .filter(|secret| secret.loss != Loss::Nothing && secret.generate.is_by_chance())
        .filter(|secret| !held.contains(&secret.name));
    lost.map(|secret| format!("the secret {}, which was made anew", secret.name)).collect()
}
