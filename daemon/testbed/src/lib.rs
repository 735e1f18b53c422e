//! Boots real machines (systemd, sshd, Nix) on one Linux host, for the demo and the tests.
//!
//! A machine is a container that behaves as a server does: systemd is its PID 1, it has a network address, an
//! SSH server with a host key that is known before it boots, Nix, and a disk that stays when it reboots or
//! crashes. It is made of Debian packages, so that no hypervisor and no image from elsewhere is needed, and
//! up within a second.
//!
//! ```no_run
//! # async fn example(key: berth_domain::ssh::SshPublicKey) -> anyhow::Result<()> {
//! use berth_testbed::{Testbed, TestbedOptions};
//!
//! let testbed = Testbed::new(TestbedOptions::default(), &mut |line| tracing::info!("{line}")).await?;
//! let machine = testbed.boot(&"vm1".parse()?, &key).await?;
//! machine.cut_network().await?;
//! machine.heal_network().await?;
//! testbed.stop().await?;
//! # Ok(()) }
//! ```
//!
//! The first testbed on a host builds the image, which takes about a minute and half a gigabyte in the cache
//! folder. Nothing of a testbed is left when it is stopped or dropped, nor, from the next one on, when its
//! process was killed.
//!
//! To have a machine by hand, as root, until Ctrl-C:
//!
//! ```text
//! cargo run -p berth-testbed --example boot -- vm1
//! ```
//!
//! It prints, as JSON, the machine's address, host key, a key to log in with, and its root folder on the
//! host.
//!
//! | module | subject |
//! | --- | --- |
//! | [`prerequisites`] | what a host lacks, and installing it |
//! | [`image`] | the Debian tree that machines are views of |
//! | [`testbed`] | the machines of one process: [`Testbed`], [`Kept`] |
//! | [`machine`] | one [`Machine`]: reboot, crash, cut its network, run programs inside |
//! | `network` | namespaces, interfaces, subnets |
//! | `run`, `owner` | what a process made, written down for whoever must put it away |
//! | `teardown` | putting away |
//! | `command`, `lock`, `mounts` | other programs, locks between processes, mounts |
//! | [`error`] | what can go wrong |

mod cgroups;
mod command;
pub mod error;
pub mod image;
mod lock;
pub mod machine;
mod mounts;
mod network;
mod owner;
pub mod prerequisites;
mod run;
mod teardown;
pub mod testbed;

pub use error::{Result, TestbedError};
pub use image::Image;
pub use machine::record::MachineRecord;
pub use machine::{Disk, Machine};
pub use testbed::{Kept, Testbed, TestbedOptions};
