//! The services of a manifest, as systemd's units.

use std::time::Duration;

use berth_domain::Manifest;

use crate::failure::Result;
use crate::programs::{command, run_ok};
use crate::system;
use crate::units;

/// Services may take their time to stop.
const STOP_LIMIT: Duration = Duration::from_secs(300);

/// Stops every unit that the manifest names and systemd has loaded.
pub(crate) fn stop(manifest: &Manifest) -> Result<()> {
    let quiesced = manifest.services.values().flat_map(|service| service.state.quiesce.iter().cloned());
    let units: Vec<_> = system::units(manifest).into_iter().map(|(_, unit)| unit).chain(quiesced).collect();
    let states = units::states(&units)?;
    let loaded: Vec<_> = units.iter().zip(states).filter(|(_, state)| state.load == "loaded").collect();
    if loaded.is_empty() {
        return Ok(());
    }
    let mut stop = command("systemctl")?;
    stop.args(["stop", "--"]).args(loaded.iter().map(|(unit, _)| unit));
    run_ok(stop, STOP_LIMIT).map(drop)
}
