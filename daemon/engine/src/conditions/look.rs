//! Asks one machine all there is to ask.

use std::time::Duration;

use berth_domain::{Finding, FindingKind, MachineSpec};
use berth_protocol::{Answer, Health, Request};
use chrono::Utc;

use super::judge;
use crate::Engine;
use crate::error::{NO_SUCH_SYSTEM, StepError};
use crate::pinning;
use crate::ports::{Bounds, MachineSession, Sink, nobody};
use crate::steps::unexpected;

/// How long all of it may take. Whoever asks for a check waits for it, and gives up after 30 s.
const LIMIT: Duration = Duration::from_secs(25);

/// How long services may take to be healthy: they run already.
const HEALTH: Duration = Duration::from_secs(8);

/// The agent keeps the time itself; this is for its answer to arrive.
const FOR_THE_ANSWER: Duration = Duration::from_secs(5);

impl Engine {
    /// What is not as it should be on a machine that was committed to `system`.
    pub(super) async fn look(&self, machine: &MachineSpec, system: &str) -> Result<Vec<Finding>, StepError> {
        // What the daemon itself lacks is not the machine's fault.
        let agent = self.platform().await?.agent;
        let sink = nobody();
        let cancel = self.shared.stopping.clone();
        let looking = async {
            let mut session = self.shared.reach(machine, &agent, &cancel, &sink).await?;
            self.ask(session.as_mut(), machine, system, &sink).await
        };
        let unreachable = |message| Ok(vec![Finding::new(FindingKind::Unreachable, message)]);
        match tokio::time::timeout(LIMIT, looking).await {
            Err(_) => unreachable(format!("the machine did not answer within {} s", LIMIT.as_secs())),
            Ok(Err(StepError::Failed(failure))) => {
                unreachable(format!("{} ({})", failure.message, failure.code))
            }
            Ok(looked) => looked,
        }
    }

    async fn ask(
        &self,
        session: &mut dyn MachineSession,
        machine: &MachineSpec,
        system: &str,
        sink: &Sink,
    ) -> Result<Vec<Finding>, StepError> {
        let asked = Utc::now();
        let brief = self.bounds(self.shared.options.timeouts.brief);
        let Answer::Facts(facts) = session.call(Request::Facts, &brief, sink).await? else {
            return Err(unexpected("facts"));
        };
        let answered = Utc::now();
        self.shared.records.set_checked_facts(&machine.name, &facts).await?;
        let mut findings = judge::systems(&facts, system);
        findings.extend(judge::disks(&facts));
        findings.extend(judge::clock(facts.at, asked, answered));
        let inside = self.inside(session, system, sink).await?;
        findings.extend(inside.as_ref().and_then(|inside| judge::health(inside, "on the machine")));
        findings.extend(judge::failed_units(&facts, inside.as_ref()));
        // A system that was built on another daemon's host is not here; what it promises is then seen from inside only.
        if self.shared.builder.has(system).await {
            let manifest = self.shared.builder.manifest(system).await?;
            let outside = session.probe_from_outside(manifest.clone(), self.bounds(HEALTH));
            let anew = session.enter_anew(self.bounds(HEALTH));
            let (entered, outside, shown) = tokio::join!(anew, outside, session.certificates(manifest));
            match entered.and(outside) {
                Ok(mut outside) => {
                    // Without the machine's own word there is nothing to compare with, and that was found already.
                    if let Some(inside) = &inside {
                        pinning::compare(inside, &mut outside);
                    }
                    findings.extend(judge::health(&outside, "from outside"));
                }
                Err(StepError::Failed(failure)) => {
                    findings.push(Finding::new(FindingKind::Unreachable, failure.message));
                }
                Err(error) => return Err(error),
            }
            findings.extend(judge::certificates(&shown, Utc::now()));
        }
        Ok(findings)
    }

    /// How units and probes are on the machine itself; nothing where it does not have the system, which was found already.
    async fn inside(
        &self,
        session: &mut dyn MachineSession,
        system: &str,
        sink: &Sink,
    ) -> Result<Option<Health>, StepError> {
        let request = Request::Probe { system: system.to_owned(), timeout_seconds: HEALTH.as_secs() };
        match session.call(request, &self.bounds(HEALTH + FOR_THE_ANSWER), sink).await {
            Ok(Answer::Health(health)) => Ok(Some(health)),
            Ok(_) => Err(unexpected("the services' health")),
            Err(StepError::Failed(failure)) if failure.code == NO_SUCH_SYSTEM => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn bounds(&self, timeout: Duration) -> Bounds {
        Bounds { cancel: self.shared.stopping.clone(), timeout }
    }
}
