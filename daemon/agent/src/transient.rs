//! Transient units in which this very program does what must outlive its caller.

use std::time::Duration;

use berth_protocol::FailureCode;

use crate::entry::Myself;
use crate::failure::{Result, failure};
use crate::systemd::{self, Property, Value};
use crate::units;

/// The longest that a timer waits: one that waits for ever would be no timer.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A service that is made when it is started, and gone when it has ended, however that was.
#[derive(Debug, Clone)]
pub(crate) struct Transient {
    unit: String,
    description: String,
    properties: Vec<Property>,
}

impl Transient {
    /// A service that runs a command. Whatever of it runs so long after it was to stop is killed.
    pub(crate) fn new(unit: &str, description: &str, stop: Duration, command: Vec<String>) -> Self {
        let properties =
            vec![("TimeoutStopUSec", microseconds(stop)), ("ExecStart", Value::Command(command))];
        Self { unit: unit.into(), description: description.into(), properties }
    }

    /// With a property more.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.properties.push((name, value));
        self
    }

    /// It counts as started once its program runs, and is ended after so long.
    #[must_use]
    pub(crate) fn at_most(self, limit: Duration) -> Self {
        self.with("Type", Value::Text("exec".into())).with("RuntimeMaxUSec", microseconds(limit))
    }

    /// Where it fails it is started again after a pause.
    #[must_use]
    pub(crate) fn again_after(self, pause: Duration) -> Self {
        self.with("Restart", Value::Text("on-failure".into())).with("RestartUSec", microseconds(pause))
    }

    /// It is started again however often it fails, and is the last that goes when memory runs out.
    #[must_use]
    pub(crate) fn whatever_happens(self) -> Self {
        self.with("StartLimitIntervalUSec", Value::Unsigned(0)).with("OOMScoreAdjust", Value::Signed(-900))
    }

    /// Starts it.
    pub(crate) fn start(self) -> Result<()> {
        systemd::start_transient(&self.unit, &[self.common(), self.properties].concat(), None)
    }

    /// Has systemd start it after so long, by a timer of the same name, unless that or the service is there already; nobody else
    /// waits meanwhile.
    pub(crate) fn start_after(self, pause: Duration) -> Result<()> {
        if pause > LONGEST {
            return Err(failure(FailureCode::BadCall, "nothing is waited for longer than a year"));
        }
        let timer = format!("{}.timer", self.unit.trim_end_matches(".service"));
        let mut properties = self.common();
        properties.extend([
            ("TimersMonotonic", Value::Timer("OnActiveSec", in_microseconds(pause))),
            ("AccuracyUSec", Value::Unsigned(100_000)),
            ("RemainAfterElapse", Value::Bool(false)),
        ]);
        let service = [self.common(), self.properties].concat();
        let started = systemd::start_transient(&timer, &properties, Some((&self.unit, &service)));
        if started.is_err() && any_is_up(&[timer, self.unit])? { Ok(()) } else { started }
    }

    /// What the service and its timer have in common.
    fn common(&self) -> Vec<Property> {
        vec![
            ("Description", Value::Text(self.description.clone())),
            ("CollectMode", Value::Text("inactive-or-failed".into())),
        ]
    }
}

/// How this very program is started, with more words.
pub(crate) fn own_command(myself: &Myself, more: &[&str]) -> Result<Vec<String>> {
    let program = myself.program()?.display().to_string();
    let words = myself.words.iter().cloned().chain(more.iter().map(|word| (*word).to_owned()));
    Ok(std::iter::once(program).chain(words).collect())
}

/// Whether one of some units runs, waits, or is about to.
pub(crate) fn any_is_up(units: &[String]) -> Result<bool> {
    let states = units::states(units)?;
    Ok(states.iter().any(|state| !matches!(state.active.as_str(), "inactive" | "failed")))
}

fn microseconds(duration: Duration) -> Value {
    Value::Unsigned(in_microseconds(duration))
}

fn in_microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
