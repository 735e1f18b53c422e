//! Switching to a system.
//!
//! The switch runs in a transient systemd unit, named after the operation, so that a connection that is lost, or an
//! SSH server that the switch itself restarts, changes nothing. What it writes and how it ends stands in files below
//! [`record::FOLDER`]; [`activate`] follows these, whether it started the unit or found it running or ended.
//!
//! | module | subject |
//! | --- | --- |
//! | [`record`] | the files: what was asked, the output, the result |
//! | [`unit`] | the transient unit |
//! | [`inside`] | what runs in the unit |
//! | [`follow`] | reading along until the end |

mod follow;
mod inside;
mod record;
mod unit;

use berth_protocol::{Activation, ActivationOutcome, FailureCode, GivenSecret, SwitchAction};
use uuid::Uuid;

use crate::client::Client;
use crate::entry::Myself;
use crate::failure::{Result, failure};
use crate::secrets;
use crate::system::{self, System};
use crate::units;
use record::{Asked, Ended, Record};

pub(crate) use inside::run;

/// Puts a system's secrets in place. Those whose owners the switch is yet to make belong to root until then.
pub(crate) fn prepare_secrets(path: &str, given: &[GivenSecret]) -> Result<()> {
    let Some(manifest) = System::open(path)?.manifest_if_any()? else { return Ok(()) };
    secrets::bring(&manifest, given)?;
    secrets::ensure(&manifest).map(drop)
}

/// Switches to a system and waits for the end, or finds the switch that this operation asked for before.
pub(crate) fn activate(
    operation: Uuid,
    path: &str,
    action: SwitchAction,
    myself: &Myself,
    client: &mut impl Client,
) -> Result<Activation> {
    let system = System::open(path)?;
    system.switcher()?;
    let manifest = system.manifest_if_any()?;
    let record = Record::of(operation);
    start_unless_there(&record, &Asked { system: path.to_owned(), action }, myself)?;
    let exit_code = match follow::to_the_end(&record, client)? {
        Ended::Switched { exit_code } => exit_code,
        Ended::Failed(failure) => {
            // Nothing was switched: the next request begins anew.
            record.forget();
            return Err(failure);
        }
    };
    let units: Vec<_> = manifest.iter().flat_map(system::units).map(|(_, unit)| unit).collect();
    let failed_units = units::failed_among(&units)?;
    Ok(Activation { exit_code, outcome: ActivationOutcome::of(exit_code), failed_units })
}

/// Starts the unit, unless this operation's switch to this very system runs or has ended.
fn start_unless_there(record: &Record, asked: &Asked, myself: &Myself) -> Result<()> {
    let _starting = record::starting()?;
    if record.asked()?.as_ref() == Some(asked) {
        if record.ended()?.is_some() || unit::is_running(record.operation())? {
            return Ok(());
        }
    } else if unit::is_running(record.operation())? {
        let message = "this operation is still switching to another system";
        return Err(failure(FailureCode::Busy, message));
    }
    record.begin(asked)?;
    unit::start(record.operation(), myself)
}
