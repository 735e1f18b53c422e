//! What breaks, and how it is broken and mended.

use anyhow::Result;
use berth_simulation::dice::Dice;
use tokio::time::sleep;

use super::inhabited::Inhabited;
use crate::damage::{self, Damage};
use crate::workshop::Trouble;

/// Faults come within this long after the deployments were asked for; a little longer than one takes.
pub(super) const SPAN_MS: u64 = 6000;

/// How long what is broken stays so, at the most.
const BROKEN_MS: u64 = 6000;

/// What breaks. The first three are [those of the daemons](super::Household), the others the machines'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A daemon is killed (`kill -9`) and started again.
    DaemonKilled,
    /// A daemon stands still for longer than its lease, so that the other takes over what it did, and then goes on.
    DaemonFrozen,
    /// Somebody else writes to the daemon's SQLite, or its PostgreSQL crashes.
    DatabaseAway,
    /// Every process of the agent on the machine is killed.
    AgentKilled,
    /// The machine's network is cut, and healed.
    NetworkCut,
    /// The machine loses its power, and is booted.
    PowerLost,
    /// The machine loses its power, which leaves of a store path that the deployment has brought less than Nix knows. A
    /// machine that was committed to that serves again once it is deployed to.
    StorePathCorrupted,
    /// The machine's disk is filled, and freed.
    DiskFull,
    /// The clock of what runs on the machine is an hour ahead, then an hour behind, then right again.
    ClockSkewed,
    /// The new system's web server refuses its configuration.
    NginxBroken,
    /// The new system ends its own SSH server.
    SshCut,
}

impl Fault {
    /// Those that a machine can meet.
    pub(super) const OF_MACHINES: [Self; 8] = [
        Self::AgentKilled,
        Self::NetworkCut,
        Self::PowerLost,
        Self::StorePathCorrupted,
        Self::DiskFull,
        Self::ClockSkewed,
        Self::NginxBroken,
        Self::SshCut,
    ];

    /// What a new configuration does wrong, where that is the fault.
    pub(super) fn trouble(self) -> Option<Trouble> {
        match self {
            Self::NginxBroken => Some(Trouble::BreaksNginx),
            Self::SshCut => Some(Trouble::CutsSsh),
            _ => None,
        }
    }

    /// Whether nothing on the machine outlives it.
    pub(super) fn takes_the_power(self) -> bool {
        matches!(self, Self::PowerLost | Self::StorePathCorrupted)
    }

    /// What may be gone when a machine loses its power is what was not there before; `known` was.
    pub(super) async fn inject(self, at: &Inhabited, known: &[String], dice: &Dice) -> Result<()> {
        sleep(dice.millis(0..=SPAN_MS)).await;
        let meanwhile = dice.millis(0..=BROKEN_MS);
        let machine = &at.machine;
        match self {
            Self::DaemonKilled
            | Self::DaemonFrozen
            | Self::DatabaseAway
            | Self::NginxBroken
            | Self::SshCut => {}
            Self::AgentKilled => {
                // None may be there at this instant.
                machine.exec(&["pkill", "-KILL", "berth-agent"]).await?;
            }
            Self::NetworkCut => {
                machine.cut_network().await?;
                sleep(meanwhile).await;
                machine.heal_network().await?;
            }
            Self::PowerLost => {
                machine.crash().await?;
                sleep(meanwhile).await;
                machine.start().await?;
            }
            Self::StorePathCorrupted => {
                machine.crash().await?;
                let paths = damage::store_paths(machine)?.into_iter().filter(|path| !known.contains(path));
                let files: Vec<_> = paths.filter_map(|path| damage::file_of(machine, &path)).collect();
                if !files.is_empty() {
                    let file = &files[dice.below(files.len())];
                    damage::damage(machine, file, Damage::ALL[dice.below(Damage::ALL.len())])?;
                }
                sleep(meanwhile).await;
                machine.start().await?;
                // A switch that meets the boot's own is refused, and what is deployed once more has to succeed.
                machine.settled().await?;
            }
            Self::ClockSkewed => {
                for hours in [1, -1] {
                    at.clock.is_off_by(hours * 3600)?;
                    sleep(meanwhile / 2).await;
                }
                at.clock.is_off_by(0)?;
            }
            Self::DiskFull => {
                // Ends when nothing is left, which it calls an error.
                machine.exec(&["dd", "if=/dev/zero", "of=/var/filled", "bs=1M"]).await?;
                sleep(meanwhile).await;
                machine.exec(&["rm", "--force", "/var/filled"]).await?;
            }
        }
        Ok(())
    }
}
