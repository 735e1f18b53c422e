//! What of an event a customer may see: that it happened and how far it is, and nothing of how it was done.

use berth_domain::{Event, EventKind};

/// The event as a customer sees it; nothing for log lines, warnings and retries, which are the provider's. The number stays.
pub fn for_customer(event: &Event) -> Option<Event> {
    if matches!(
        event.kind,
        EventKind::Log | EventKind::Warning | EventKind::NeedsReboot | EventKind::Retrying
    ) {
        return None;
    }
    // Named one by one, so that whatever an event learns to carry stays inside until it is let out here.
    Some(Event {
        operation: event.operation,
        seq: event.seq,
        at: event.at,
        kind: event.kind,
        step: event.step,
        message: String::new(),
        step_status: event.step_status,
        progress: event.progress,
        eta: event.eta,
        status: event.status,
        error: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::event::NewEvent;
    use berth_domain::operation::OperationError;
    use berth_domain::{OperationId, OperationStatus, StepName};

    #[test]
    fn paths_addresses_and_logs_stay_with_the_provider() {
        let inside = "/nix/store/x 10.0.0.1 secret";
        for kind in EventKind::ALL {
            let mut event = NewEvent::new(chrono::Utc::now(), *kind, inside).of_step(StepName::Build);
            event.status = Some(OperationStatus::Failed);
            event.error = Some(OperationError {
                code: "build-failed".into(),
                message: inside.into(),
                step: Some(StepName::Build),
                derivation: Some(inside.into()),
                log: vec![inside.into()],
                retryable: false,
            });
            let shown = for_customer(&event.numbered(OperationId::nil(), 7));
            let text = serde_json::to_string(&shown).unwrap();
            assert!(
                !text.contains("nix") && !text.contains("10.0.0.1") && !text.contains("secret"),
                "{text}"
            );
            assert_eq!(
                shown.is_none(),
                matches!(
                    kind,
                    EventKind::Log | EventKind::Warning | EventKind::NeedsReboot | EventKind::Retrying
                )
            );
        }
    }
}
