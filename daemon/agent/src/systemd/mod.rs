//! What a deployment asks of systemd, asked of its manager directly (org.freedesktop.systemd1(5)).
//!
//! `systemctl` and `systemd-run` say the same, and five starts of them, as a deployment needs, cost twice as much processor as all else
//! that the agent does for it; what is rare is left to them. zbus, the library that all use, does not speak to systemd's own socket:
//! it takes systemd's name as a sender for an error (5.19).
//!
//! | module | subject |
//! | --- | --- |
//! | [`bus`] | the connection: calls, answers, signals, a limit of time |
//! | [`message`] | messages and their headers |
//! | [`write`], [`read`] | values on the wire |

mod bus;
mod message;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::thread::sleep;
use std::time::Duration;

use crate::failure::{Result, program};
use bus::{Bus, BusError};
use read::{Malformed, Reader};
use write::Writer;
pub(crate) use write::{Property, Value};

/// How long systemd may take for anything that is asked here.
const LIMIT: Duration = Duration::from_secs(30);

/// Pauses before what does no harm twice is asked again: systemd closes its connections when it executes itself anew, as it does
/// where a switch brings another systemd.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(750),
    Duration::from_millis(2000),
];

const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// What systemd lists of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// `LoadState`, such as `loaded` or `not-found`.
    pub(crate) load: String,
    /// `ActiveState`, such as `active` or `failed`.
    pub(crate) active: String,
    /// `SubState`, such as `running` or `auto-restart`.
    pub(crate) sub: String,
}

/// Some units by their names, in that order; also those that systemd does not know.
pub(crate) fn list(names: &[String]) -> Result<Vec<Listed>> {
    ask_again("cannot ask systemd about units", |bus| {
        let mut body = Writer::default();
        body.texts(names.iter().map(String::as_str));
        units(&bus.call("ListUnitsByNames", "as", body)?)
    })
}

/// Every unit in some state, such as `failed`.
pub(crate) fn list_in_state(state: &str) -> Result<Vec<Listed>> {
    ask_again("cannot ask systemd about units", |bus| {
        let mut body = Writer::default();
        body.texts([state]);
        units(&bus.call("ListUnitsFiltered", "as", body)?)
    })
}

/// Makes a transient unit, and another one that it is to start later; waits until the first is up.
pub(crate) fn start_transient(
    unit: &str,
    properties: &[Property],
    later: Option<(&str, &[Property])>,
) -> Result<()> {
    ask(&format!("systemd does not start {unit}"), |bus| {
        let mut body = Writer::default();
        // Never in place of another one.
        body.text(unit).text("fail").properties(properties);
        body.array(8, |others| {
            if let Some((unit, properties)) = later {
                others.align(8).text(unit).properties(properties);
            }
        });
        run_job(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", body)
    })
}

/// Stops a unit and waits until it has stopped. One that is not there is as good as stopped.
pub(crate) fn stop(unit: &str) -> Result<()> {
    ask_again(&format!("systemd does not stop {unit}"), |bus| {
        let mut body = Writer::default();
        body.text(unit).text("replace");
        match run_job(bus, "StopUnit", "ss", body) {
            Err(BusError::Refused { name, .. }) if name == NO_SUCH_UNIT => Ok(()),
            other => other,
        }
    })
}

type Answer<T> = std::result::Result<T, BusError>;

/// Speaks to systemd; `what` says what was not to be had.
fn ask<T>(what: &str, talk: impl FnOnce(&mut Bus) -> Answer<T>) -> Result<T> {
    Bus::connect(LIMIT).and_then(|mut bus| talk(&mut bus)).map_err(|error| program(what, &error.to_string()))
}

/// The same of what does no harm twice: where the connection is lost, it is asked again.
fn ask_again<T>(what: &str, mut talk: impl FnMut(&mut Bus) -> Answer<T>) -> Result<T> {
    let mut pauses = PAUSES.into_iter();
    loop {
        let answer = Bus::connect(LIMIT).and_then(|mut bus| talk(&mut bus));
        match (answer, pauses.next()) {
            (Err(error), Some(pause)) if error.may_pass() => sleep(pause),
            (answer, _) => return answer.map_err(|error| program(what, &error.to_string())),
        }
    }
}

/// Calls a method that queues a job, and waits for the job.
fn run_job(bus: &mut Bus, method: &str, signature: &str, body: Writer) -> Answer<()> {
    bus.hear_of_jobs()?;
    let answer = bus.call(method, signature, body)?;
    let job = Reader::new(&answer).text()?;
    loop {
        let removed = bus.next_job_removed()?;
        let mut ended = Reader::new(&removed.body);
        let (_id, path, _unit, result) = (ended.u32()?, ended.text()?, ended.text()?, ended.text()?);
        match result {
            _ if path != job => {}
            "done" | "skipped" => return Ok(()),
            other => return Err(BusError::Job(other.to_owned())),
        }
    }
}

/// `a(ssssssouso)`: name, description, load, active, sub, what it follows, path, job, the job's type and path.
fn units(body: &[u8]) -> Answer<Vec<Listed>> {
    let unit = |reader: &mut Reader<'_>| -> std::result::Result<Listed, Malformed> {
        reader.align(8);
        let (name, _description) = (reader.text()?.to_owned(), reader.text()?);
        let (load, active, sub) =
            (reader.text()?.to_owned(), reader.text()?.to_owned(), reader.text()?.to_owned());
        let _rest = (reader.text()?, reader.text()?, reader.u32()?, reader.text()?, reader.text()?);
        Ok(Listed { name, load, active, sub })
    };
    Ok(Reader::new(body).array(8, unit)?)
}
