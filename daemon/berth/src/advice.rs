//! What to do about a failure, in one line.

use berth_client::ClientError;
use berth_contract::Problem;
use berth_domain::{Operation, OperationKind};

/// What to do about a failed call.
pub fn for_client(error: &ClientError) -> Option<String> {
    let advice = match error {
        ClientError::Refused(problem) => return for_problem(problem),
        ClientError::Unreachable { .. } => {
            "start the daemon (berthd serve), or name the right one with --url or BERTH_URL"
        }
        ClientError::Timeout { .. } | ClientError::Interrupted { .. } => {
            "the daemon’s log may say why; the same command may be given again"
        }
        ClientError::Garbled { .. } => "is that a Berth daemon, and of this version? --url names another",
        ClientError::BadUrl { .. } => "give something like http://127.0.0.1:8484",
        ClientError::BadToken => "the file or variable should hold the token and nothing else",
        ClientError::Setup(_) => return None,
    };
    Some(advice.to_owned())
}

fn for_problem(problem: &Problem) -> Option<String> {
    if let Some(seconds) = problem.retry_after {
        return Some(format!("try again in {seconds} s"));
    }
    let advice = match (problem.code(), problem.operation) {
        ("operation-running", Some(id)) => {
            return Some(format!("wait for it: berth watch {id}\nor end it: berth operation cancel {id}"));
        }
        ("operation-finished", Some(id)) => {
            return Some(format!("see how it ended: berth operation show {id}"));
        }
        ("rollout-finished", _) => "see how it ended: berth rollout show",
        ("not-deployed", _) => "deploy it first: berth deploy",
        ("not-found", _) => "berth tenant list, machine list and operation list show what there is",
        ("forbidden", _) => "use a token that opens this; berth token create issues one",
        ("changed-meanwhile", _) => "look at it as it is now, and give the command again",
        ("nothing-to-accept", _) => "berth ticket show says how it stands",
        ("obstacles", _) => {
            "once that is different, the same ticket may be handed in again, or the same bundle or repository imported"
        }
        ("repository-password", _) => "it is what berth daemon vault-key TENANT printed at the old provider",
        ("repository-missing", _) => "it lies where config and keys are: an object above or below is not it",
        ("handed-over", _) => {
            "it moves back by berth migrate TENANT --undo at its new provider, or with a ticket of its old one"
        }
        ("no-way-back", _) => "it moves back with a ticket of its old provider, as it came",
        ("no-public-address", _) => {
            "give the daemon its address in provider.public_url, and have a proxy serve it with TLS"
        }
        ("not-active", _) => "berth tenant show says what mode it has",
        ("exists", _) => "choose another name, or change it: berth tenant set",
        ("machine-in-use", _) => "delete its tenant first: berth tenant delete",
        ("machine-taken", _) => "choose another machine; berth machine list shows which are free",
        ("machine-lent", _) => "wait until the drill has ended: berth machine show",
        ("no-snapshot", _) => "make one first: berth snapshot create",
        ("machine-holds-data", _) => {
            "choose another machine, or take the tenant back that left its data there"
        }
        _ if problem.status == 401 => "give a valid token: --token-file FILE or the variable BERTH_TOKEN",
        _ if problem.status >= 500 => "the daemon’s log says why",
        _ => return None,
    };
    Some(advice.to_owned())
}

/// What to do about an operation that did not succeed.
pub fn for_operation(operation: &Operation) -> Option<String> {
    let error = operation.error.as_ref()?;
    let (tenant, id) = (&operation.tenant, operation.id);
    let advice = match operation.kind {
        OperationKind::Migrate => format!(
            "berth operation show {id} has it all\nthe same ticket may be handed in again as long as it is good: berth migrate {tenant}"
        ),
        OperationKind::Rehearse => format!(
            "berth migration {tenant} has what was found; the tenant goes on here\nthe same ticket may be handed in again as long as it is good"
        ),
        OperationKind::TryOut => format!(
            "berth operation show {id} has it all\nthe source may hand the same ticket in again as long as it is good"
        ),
        OperationKind::Import => format!(
            "berth operation show {id} has it all\nthe source may hand the same ticket in again as long as it is good"
        ),
        OperationKind::TakeIn => format!(
            "berth operation show {id} has it all\nthe same may be imported again, and goes on with the tenant {tenant}"
        ),
        OperationKind::Drill => format!("berth drills {tenant} {id} has what it found"),
        _ if error.retryable => format!("this may pass; try again: berth deploy {tenant} --watch"),
        _ => format!("berth operation show {id} has it all"),
    };
    Some(advice)
}
