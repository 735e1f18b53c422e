//! Calls in, answers out.

use berth_protocol::{Answer, Call, FailureCode, Hello, PROTOCOL, Reply, Request};

use crate::client::{Caller, Client, Line, read_line, write_end, write_line};
use crate::entry::Myself;
use crate::failure::{Result, failure, io};
use crate::{activation, commit, dry_run, facts, logs, probe, quiet, wipe};

/// Greets, then answers the calls on standard input in their order until it ends.
pub(crate) fn serve(myself: &Myself) -> Result<()> {
    write_line(&Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").into() });
    let mut input = std::io::stdin().lock();
    loop {
        match read_line(&mut input).map_err(io("cannot read standard input"))? {
            Line::Whole(line) => answer(&line, myself),
            Line::End => return Ok(()),
            Line::TooLong => {
                return Err(failure(FailureCode::BadCall, "a line was longer than the protocol allows"));
            }
        }
    }
}

fn answer(line: &[u8], myself: &Myself) {
    let (id, outcome) = match serde_json::from_slice::<Call>(line) {
        Ok(call) => (call.id, handle(call.request, myself, &mut Caller { id: call.id })),
        Err(error) => (id_of(line), Err(failure(FailureCode::BadCall, format!("this is no call: {error}")))),
    };
    write_end(id, outcome.map_or_else(Reply::Failed, Reply::Done));
}

/// The id of a line that is otherwise no call, so that its sender recognises the answer.
fn id_of(line: &[u8]) -> u64 {
    let value = serde_json::from_slice::<serde_json::Value>(line).ok();
    value.and_then(|value| value.get("id")?.as_u64()).unwrap_or(0)
}

fn handle(request: Request, myself: &Myself, client: &mut impl Client) -> Result<Answer> {
    match request {
        Request::Facts => facts::gather().map(|facts| Answer::Facts(Box::new(facts))),
        Request::AwaitQuiet { timeout_seconds } => {
            quiet::wait(timeout_seconds, client).map(|()| Answer::Quiet)
        }
        Request::PrepareSecrets { system, given } => {
            activation::prepare_secrets(&system, &given).map(|()| Answer::Prepared)
        }
        Request::Activate { operation, system, action } => {
            activation::activate(operation, &system, action, myself, client).map(Answer::Activation)
        }
        Request::DryActivate { system } => {
            dry_run::dry_activate(&system).map(|change| Answer::DryActivation(Box::new(change)))
        }
        Request::Probe { system, timeout_seconds } => {
            probe::probe(&system, timeout_seconds, client).map(Answer::Health)
        }
        Request::Commit { system } => commit::commit(&system, client),
        Request::Logs { units, lines } => logs::newest(&units, lines).map(Answer::Logs),
        Request::Wipe { system } => wipe::wipe(&system, client).map(|removed| Answer::Wiped { removed }),
    }
}
