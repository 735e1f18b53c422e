//! Steps and endings in plain words.

use berth_domain::{OperationKind, OperationStatus, StepName, StepStatus};

/// What a step does, for somebody who waits for it.
pub fn step(kind: OperationKind, name: StepName) -> &'static str {
    let leaving = kind == OperationKind::Destroy;
    match name {
        StepName::Render if leaving => "Preparing an empty server",
        StepName::Render => "Writing down your settings",
        StepName::Evaluate => "Working out what is needed",
        StepName::Build => "Putting the pieces together",
        StepName::Copy => "Bringing them to your server",
        StepName::Wipe => "Removing your data",
        StepName::Activate if leaving => "Stopping your services",
        StepName::Activate => "Starting your services",
        StepName::Verify if leaving => "Checking that nothing runs any more",
        StepName::Verify => "Checking that everything answers",
        StepName::Commit => "Making it permanent",
        StepName::Forget => "Closing your account on this server",
    }
}

/// How a step stands.
pub fn step_status(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "waiting",
        StepStatus::Running => "in progress",
        StepStatus::Succeeded => "done",
        StepStatus::Skipped => "not needed",
        StepStatus::Failed => "did not work",
        StepStatus::Cancelled => "stopped",
        StepStatus::Unknown => "being looked at again",
    }
}

/// A step that was never begun, once nothing will happen any more.
pub const NOT_REACHED: &str = "not reached";

/// The page's heading.
pub fn heading(kind: OperationKind, status: OperationStatus) -> &'static str {
    let leaving = kind == OperationKind::Destroy;
    match status {
        OperationStatus::Queued => "In line",
        OperationStatus::Running if leaving => "Taking your services down",
        OperationStatus::Running => "Setting up your services",
        OperationStatus::Succeeded if leaving => "Your services are gone",
        OperationStatus::Succeeded => "Your services are ready",
        OperationStatus::Failed => "This did not work",
        OperationStatus::Cancelled => "This was stopped",
    }
}

/// What that means for the customer.
pub fn meaning(kind: OperationKind, status: OperationStatus) -> &'static str {
    let leaving = kind == OperationKind::Destroy;
    match status {
        OperationStatus::Queued => "Your turn comes as soon as the work before yours is done.",
        OperationStatus::Running => "You can close this page; the work goes on without it.",
        OperationStatus::Succeeded if leaving => "Everything that was to be taken down has been.",
        OperationStatus::Succeeded => "Every service was asked and has answered.",
        OperationStatus::Failed => {
            "None of your data was lost. Your server was left on what it ran before, as far as it could be reached. \
             Your provider can see what went wrong and can try again."
        }
        OperationStatus::Cancelled => {
            "None of your data was lost. Your server was left on what it ran before. Your provider can start it again."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_the_trade_reaches_a_customer() {
        let mut texts: Vec<&str> = StepStatus::ALL.iter().map(|status| step_status(*status)).collect();
        for kind in OperationKind::ALL {
            texts.extend(StepName::ALL.iter().map(|name| step(*kind, *name)));
            texts.extend(OperationStatus::ALL.iter().map(|status| heading(*kind, *status)));
            texts.extend(OperationStatus::ALL.iter().map(|status| meaning(*kind, *status)));
        }
        for text in texts {
            let lower = text.to_lowercase();
            for jargon in
                ["nix", "render", "evaluat", "closure", "derivation", "deploy", "tenant", "systemd", "ssh"]
            {
                assert!(!lower.contains(jargon), "{text}");
            }
        }
    }
}
