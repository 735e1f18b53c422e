//! Steps and headings in plain words.

use berth_domain::{OperationKind, OperationStatus, StepName, StepStatus};

/// What a step does, for somebody who waits for it.
pub fn step(kind: OperationKind, name: StepName) -> &'static str {
    let leaving = kind == OperationKind::Destroy;
    let trying = kind == OperationKind::Drill;
    match name {
        StepName::Copy if trying => "Bringing them to a server of your provider's",
        StepName::Activate if trying => "Setting up a copy that nobody else sees",
        StepName::Commit if trying => "Having it stay there for the try",
        StepName::Empty => "Removing the copy again",
        StepName::Render if leaving => "Preparing an empty server",
        StepName::Render => "Writing down your settings",
        StepName::Evaluate => "Working out what is needed",
        StepName::Build => "Putting the pieces together",
        StepName::Compare => "Comparing them with what you have",
        StepName::Copy => "Bringing them to your server",
        StepName::DryActivate => "Asking your server what would change",
        StepName::Precopy => "Copying your data while your services go on",
        StepName::Capture => "Copying what has changed since",
        StepName::Agree => "Asking your new provider",
        StepName::Rehearse => "Your new provider tries the copy out",
        StepName::TryOut => "Starting a copy of your services that nobody else sees",
        StepName::HandOver => "Handing over to your new provider",
        StepName::Prepare => "Preparing your place here",
        StepName::Receive => "Receiving your data",
        StepName::Unpack => "Unpacking your data",
        StepName::PutInPlace => "Putting your data in place, and comparing it",
        StepName::GoLive => "Starting your services here",
        StepName::Bundle => "Packing everything into one file",
        StepName::Prune => "Removing copies that are not kept any more",
        StepName::Restore => "Putting the copy in place",
        StepName::Reboot => "Starting your server anew",
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
        StepStatus::Missed => "not possible now",
        StepStatus::Failed => "did not work",
        StepStatus::Cancelled => "stopped",
        StepStatus::Unknown => "being looked at again",
    }
}

/// A step that was never begun, once nothing will happen any more.
pub const NOT_REACHED: &str = "not reached";

/// The page's heading. `open` says whether there is a service to be opened afterwards.
pub fn heading(kind: OperationKind, status: OperationStatus, open: bool) -> &'static str {
    match status {
        OperationStatus::Queued => "In line",
        OperationStatus::Running => doing(kind),
        OperationStatus::Succeeded => done(kind, open),
        OperationStatus::Failed => "This did not work",
        OperationStatus::Cancelled => "This was stopped",
    }
}

fn doing(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Deploy | OperationKind::Rollback => "Setting up your services",
        OperationKind::Preview => "Finding out what would change",
        OperationKind::Destroy => "Taking your services down",
        OperationKind::Reboot => "Starting your server anew",
        OperationKind::Snapshot => "Copying your data to a safe place",
        OperationKind::Prune => "Tidying up old copies of your data",
        OperationKind::Restore => "Bringing your data back",
        OperationKind::Drill => "Trying whether your data could be brought back",
        OperationKind::Export => "Packing everything that is yours",
        OperationKind::Migrate => "Moving to your new provider",
        OperationKind::Rehearse => "Trying whether you could move to your new provider",
        OperationKind::TryOut => "Trying whether you could move in",
        OperationKind::Import | OperationKind::TakeIn => "Moving in",
    }
}

fn done(kind: OperationKind, open: bool) -> &'static str {
    match kind {
        OperationKind::Preview => "What would change is known now",
        OperationKind::Destroy => "Your services are gone",
        OperationKind::Reboot => "Your server was started anew",
        OperationKind::Snapshot => "A copy of your data is in a safe place",
        OperationKind::Prune => "Old copies of your data are tidied up",
        OperationKind::Restore => "Your data is back",
        OperationKind::Drill => "Your data could be brought back",
        OperationKind::Export => "Everything that is yours is in one file",
        OperationKind::Migrate => "Your services run at your new provider",
        OperationKind::Rehearse => "You could move to your new provider",
        OperationKind::TryOut => "You could move in",
        OperationKind::Import => "Your services run here now",
        OperationKind::TakeIn => "Everything that you brought is here",
        OperationKind::Deploy | OperationKind::Rollback if open => "Your services are ready",
        OperationKind::Deploy | OperationKind::Rollback => "Your server is set up",
    }
}

/// When it will probably be done, before the time of the day.
pub const DONE_AT: &str = "probably done at";

/// In place of a time that has passed.
pub const LATE: &str = "taking longer than usual";

/// While the stream is broken and is tried again.
pub const LOST: &str = "Connection lost, trying again…";

/// Once the stream is broken and the link has run out, so that trying again is of no use.
pub const ENDED: &str =
    "This link has run out, so this page is not updated any more. Your provider can give you a new one.";

#[cfg(test)]
mod tests {
    use super::super::meaning;
    use super::*;
    use berth_domain::Operation;

    #[test]
    fn no_word_of_the_trade_reaches_a_customer() {
        let mut texts: Vec<String> =
            StepStatus::ALL.iter().map(|status| step_status(*status).into()).collect();
        texts.extend([NOT_REACHED, DONE_AT, LATE, LOST, ENDED, meaning::STOPPING].map(String::from));
        for kind in OperationKind::ALL {
            texts.extend(StepName::ALL.iter().map(|name| step(*kind, *name).into()));
            for (status, choice) in
                OperationStatus::ALL.iter().flat_map(|status| (0..4).map(move |n| (*status, n)))
            {
                let (wipe, open) = (choice & 1 == 1, choice & 2 == 2);
                let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
                let operation =
                    Operation::queued(tenant, machine, *kind, wipe, "panel".into(), chrono::Utc::now());
                texts.push(heading(*kind, status, open).into());
                texts.extend(meaning::with(&operation, status, open).into_iter().map(|meaning| meaning.text));
            }
        }
        for text in texts {
            let lower = text.to_lowercase();
            assert!(!lower.trim().is_empty());
            for jargon in
                ["nix", "render", "evaluat", "closure", "derivation", "deploy", "tenant", "systemd", "ssh"]
            {
                assert!(!lower.contains(jargon), "{text}");
            }
        }
    }
}
