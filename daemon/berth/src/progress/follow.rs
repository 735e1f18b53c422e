//! An operation's events on a board, or as JSON.

use berth_client::{Client, Update};
use berth_domain::{Event, EventKind, Operation, OperationStatus, StepName};
use chrono::Utc;
use serde_json::json;

use super::board::{Board, Mark};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::words;

/// Where an operation is shown.
#[derive(Debug)]
pub enum Shown {
    /// To a person.
    Board(Box<Board>),
    /// To a program: an event per line.
    Json(Output),
    /// To nobody.
    Nowhere,
}

impl Shown {
    /// As fits the output.
    pub fn new(output: Output) -> Self {
        if output.is_json() { Self::Json(output) } else { Self::Board(Box::default()) }
    }

    /// Where a result follows: to a person, but not to a program.
    pub fn aside(output: Output) -> Self {
        if output.is_json() { Self::Nowhere } else { Self::Board(Box::default()) }
    }
}

/// Follows an operation to its end, after event number `after`. It may have ended in any way.
///
/// # Errors
/// If the daemon refuses, or stays away.
pub async fn follow(
    client: &Client,
    operation: &Operation,
    after: i64,
    shown: &mut Shown,
) -> Result<Operation> {
    follow_until(client, operation, after, shown, |_| false).await
}

/// The same, but no further than the first event of which `enough` says so; the operation may go on then.
///
/// # Errors
/// As [`follow()`].
pub async fn follow_until(
    client: &Client,
    operation: &Operation,
    after: i64,
    shown: &mut Shown,
    enough: impl Fn(&Event) -> bool,
) -> Result<Operation> {
    if let Shown::Board(board) = shown {
        for step in &operation.steps {
            board.add(step.name.word());
        }
    }
    let mut watch = client.watch(operation.id, after);
    while let Some(update) = watch.next().await? {
        match shown {
            Shown::Board(board) => show(board, &update),
            Shown::Json(output) => write(*output, &update),
            Shown::Nowhere => {}
        }
        match update {
            Update::Ended(operation) => return Ok(*operation),
            Update::Event(event) if enough(&event) => return Ok(client.operation(operation.id).await?),
            _ => {}
        }
    }
    Err(Failure::local("the stream of events ended without the operation’s end"))
}

fn write(output: Output, update: &Update) {
    match update {
        Update::Event(event) => output.json_line(event),
        Update::Gap { oldest } => output.json_line(&json!({"gap": {"oldest": oldest}})),
        Update::Lost { reason, .. } => output.aside(reason),
        Update::Ended(operation) => output.json_line(operation),
    }
}

fn show(board: &mut Board, update: &Update) {
    match update {
        Update::Event(event) => show_event(board, event),
        Update::Gap { oldest } => {
            board.note(Utc::now(), &format!("events before number {oldest} are no longer kept"));
        }
        Update::Lost { reason, wait } => {
            board.note(Utc::now(), &format!("{reason}; trying again in {}", words::duration(*wait)));
        }
        Update::Ended(operation) => {
            board.remaining(None);
            settle(board, operation);
        }
    }
}

/// Marks what no event told of, for instance the rows of steps that were passed over.
fn settle(board: &mut Board, operation: &Operation) {
    if operation.status == OperationStatus::Succeeded {
        return;
    }
    for step in operation.steps.iter().filter(|step| step.started_at.is_some()) {
        if step.finished_at.is_none() {
            board.finish(step.name.word(), Utc::now(), Mark::Unknown, "not observed");
        }
    }
}

fn show_event(board: &mut Board, event: &Event) {
    let row = event.step.map(StepName::word);
    match (event.kind, row) {
        (EventKind::StepStarted, Some(row)) => {
            board.start(row, event.at, if event.message == row { "" } else { &event.message })
        }
        (EventKind::StepProgress, Some(row)) => match &event.progress {
            Some(progress) => board.count(row, event.at, progress),
            None => board.say(row, event.at, &event.message),
        },
        (EventKind::StepFinished, Some(row)) => {
            let mark = event.step_status.and_then(Mark::of).unwrap_or(Mark::Unknown);
            board.finish(row, event.at, mark, &event.message);
        }
        (EventKind::Log, _) => board.log(row, event.at, &event.message),
        (
            EventKind::Warning
            | EventKind::NeedsReboot
            | EventKind::Retrying
            | EventKind::CancelRequested
            | EventKind::Resumed,
            _,
        ) => {
            board.note(event.at, &event.message);
        }
        (EventKind::Accepted | EventKind::Started | EventKind::Finished, _) => {}
        (EventKind::StepStarted | EventKind::StepProgress | EventKind::StepFinished, None) => {}
    }
    if event.kind == EventKind::Finished {
        board.remaining(None);
    } else if let Some(eta) = event.eta {
        board.remaining(Some(words::between(Utc::now(), eta)));
    }
}
