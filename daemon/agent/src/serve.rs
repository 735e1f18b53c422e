//! Calls in, answers out.

use berth_protocol::{Answer, Call, FailureCode, Hello, PROTOCOL, Reply, Request};

use crate::activation::record::Asked;
use crate::client::{Caller, Client, Line, read_line, write_end, write_line};
use crate::entry::Myself;
use crate::failure::{Result, failure, io};
use crate::{
    activation, commit, dry_run, facts, integrity, logs, probe, quiet, reboot, secrets, state, wipe,
};

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
        Request::PrepareSecrets { claim, system, given } => {
            activation::prepare_secrets(&claim, &system, &given).map(|()| Answer::Prepared)
        }
        Request::Activate { claim, system, action, deadline } => {
            let asked = Asked { system, action };
            activation::activate(&claim, asked, deadline, myself, client).map(Answer::Activation)
        }
        Request::DryActivate { system } => {
            dry_run::dry_activate(&system).map(|change| Answer::DryActivation(Box::new(change)))
        }
        Request::CheckStore { system, always } => integrity::check(&system, always).map(Answer::Store),
        Request::Extend { claim, seconds } => activation::extend(&claim, seconds).map(Answer::Outcome),
        Request::Revert { claim, from } => {
            activation::revert(&claim, from, myself, client).map(Answer::Outcome)
        }
        Request::Outcome { operation } => activation::outcome(operation).map(Answer::Outcome),
        Request::Probe { system, timeout_seconds } => {
            probe::probe(&system, timeout_seconds, client).map(Answer::Health)
        }
        Request::Commit { claim, system, keep_generations } => {
            commit::commit(&claim, &system, keep_generations, client)
        }
        Request::Reboot { claim } => reboot::reboot(&claim),
        Request::Logs { units, lines } => logs::newest(&units, lines).map(Answer::Logs),
        Request::Wipe { claim, system } => {
            wipe::wipe(&claim, &system, client).map(|removed| Answer::Wiped { removed })
        }
        Request::Capture {
            claim,
            system,
            repository,
            pass,
            services,
            tag,
            follower,
            replicate,
            limit_seconds,
        } => {
            let asked = state::CaptureAsked { system, pass, services, tag, follower, replicate };
            let call = state::Call { claim, repository, limit_seconds };
            state::capture(call, asked, myself, client).map(Answer::Captured)
        }
        Request::KeepQuiet { claim, seconds } => {
            state::keep_quiet(&claim, seconds).map(|()| Answer::KeptQuiet)
        }
        Request::Resume { claim, anew } => {
            state::resume(&claim, anew).map(|not_started| Answer::Resumed { not_started })
        }
        Request::Restore { claim, system, repository, parts, secrets, reuse, limit_seconds } => {
            let asked = state::RestoreAsked { system, parts, secrets, reuse };
            let call = state::Call { claim, repository, limit_seconds };
            state::restore(call, asked, myself, client).map(|()| Answer::Restored)
        }
        Request::RestoreAhead { claim, system, repository, limit_seconds } => {
            let call = state::Call { claim, repository, limit_seconds };
            state::restore_ahead(call, system, myself, client).map(Answer::RestoredAhead)
        }
        Request::SecretsOf { claim, system } => secrets::of(&claim, &system).map(Answer::Secrets),
        Request::AdoptSecrets { claim, system, secrets } => {
            secrets::adopt(&claim, &system, &secrets).map(|()| Answer::Prepared)
        }
        Request::SumAhead { claim, system } => {
            state::sum_ahead(&claim, &system, client).map(|()| Answer::Summed)
        }
        Request::Fingerprint { claim, system } => {
            let fingerprint = state::fingerprint(&claim, &system, client);
            fingerprint.map(|fingerprint| Answer::Fingerprint(Box::new(fingerprint)))
        }
    }
}
