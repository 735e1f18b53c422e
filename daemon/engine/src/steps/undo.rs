//! Puts the machine back on the system that it will boot, after a switch that did not reach its commit.

use berth_protocol::{ActivationOutcome, Answer, Request, SwitchAction};
use uuid::Uuid;

use super::Context;
use crate::error::StepError;
use crate::ports::{Report, Sink};

impl Context {
    /// Undoes an uncommitted switch; says in the operation's events how that went, as it can change nothing about
    /// how the operation ends.
    pub(crate) async fn undo(&mut self, sink: &Sink) {
        if !self.switched {
            return;
        }
        let timeout = self.shared.options.timeouts.activate;
        self.bounds_of_undo(timeout);
        sink(Report::Warning(match self.put_back(sink).await {
            Ok(message) => message,
            Err(error) => format!(
                "the machine could not be put back ({error}); it boots its previous system, but may run the new one until then"
            ),
        }));
    }

    async fn put_back(&mut self, sink: &Sink) -> Result<String, StepError> {
        // A switch that nobody saw the end of may have been broken off half-way: then what the machine says that it runs is
        // not the whole truth, and it is switched even to the system that it says it has.
        let seen = self.see_the_switch_end(sink).await?;
        self.facts = None;
        let facts = self.facts(sink).await?;
        let Some(previous) = facts.committed_system else {
            return Ok(
                "there is no earlier system to go back to; the next boot starts an empty machine".into()
            );
        };
        let ours = self.system().is_ok_and(|system| system == previous);
        if facts.running_system.as_ref() == Some(&previous) && (seen || ours) {
            return Ok(match ours {
                true => "the machine boots this system already and was left on it; deploy again".into(),
                false => "the machine runs the system that it had before".into(),
            });
        }
        let request = Request::Activate {
            operation: undo_id(self.operation),
            system: previous,
            action: SwitchAction::Test,
        };
        let answer = self.call(request, self.shared.options.timeouts.activate, sink).await?;
        Ok(match answer {
            Answer::Activation(activation) if activation.outcome == ActivationOutcome::Done => {
                "the machine was put back on the system that it had before".into()
            }
            _ => {
                "the machine was put back on the system that it had before, but not all of its units came up"
                    .into()
            }
        })
    }
}

impl Context {
    /// Waits for the switch that goes on although nobody waited for it: until it is over, nothing can be put back, and
    /// what the machine says of itself is about to change. Says whether its end had been seen before.
    async fn see_the_switch_end(&mut self, sink: &Sink) -> Result<bool, StepError> {
        let Some(system) = self.switching.clone() else { return Ok(true) };
        self.deployer().await?.see_the_end(self, &system, sink).await?;
        self.switching = None;
        Ok(false)
    }
}

/// An id of its own for the way back, derived so that a repeated undo is recognised by the agent.
fn undo_id(operation: Uuid) -> Uuid {
    let mut bytes = *operation.as_bytes();
    bytes[15] ^= 0xff;
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_has_an_id_of_its_own_and_always_the_same() {
        let id = Uuid::now_v7();
        assert_ne!(undo_id(id), id);
        assert_eq!(undo_id(id), undo_id(id));
        assert_eq!(undo_id(undo_id(id)), id);
    }
}
