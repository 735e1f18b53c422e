//! Mixed data in a service's own folder: four fifths in large files, the rest in very many small ones.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use berth_simulation::dice::Dice;
use berth_testbed::Machine;
use tokio::time::sleep;

/// Where it is on the machine.
pub(super) const FOLDER: &str = "/var/lib/gitea/measured";

/// How many large files there are, and how large each is.
const LARGE: usize = 10;
const LARGE_BYTES: usize = 164 << 20;

/// How many small ones there are, and how large each is.
const SMALL: usize = 100_000;
const SMALL_BYTES: usize = 4_096;

/// How many folders the small ones are in.
const FOLDERS: usize = 100;

/// What was changed within so much time before it was read is read once more while nobody serves (docs/src/state.md). Nearly all of a
/// tenant's data is older, so this is as well before it moves.
const SETTLED: Duration = Duration::from_secs(125);

/// What was written.
pub(super) struct Data {
    pub(super) bytes: u64,
    pub(super) files: usize,
    written: Instant,
}

impl Data {
    /// Writes it: 2 GiB that nothing can make smaller.
    pub(super) fn write(machine: &Machine, seed: u64) -> Result<Self> {
        let root = place(machine);
        let mut chance = fastrand::Rng::with_seed(seed);
        for number in 0..LARGE {
            fs::create_dir_all(root.join("large"))?;
            let mut file = fs::File::create(root.join(format!("large/{number}")))?;
            let mut block = vec![0; 1 << 20];
            for _ in 0..LARGE_BYTES >> 20 {
                chance.fill(&mut block);
                file.write_all(&block)?;
            }
        }
        let mut block = vec![0; SMALL_BYTES];
        for number in 0..SMALL {
            let folder = root.join(format!("small/{}", number % FOLDERS));
            if number < FOLDERS {
                fs::create_dir_all(&folder)?;
            }
            chance.fill(&mut block);
            fs::write(folder.join(number.to_string()), &block)?;
        }
        let bytes = (LARGE * LARGE_BYTES + SMALL * SMALL_BYTES) as u64;
        Ok(Self { bytes, files: LARGE + SMALL, written: Instant::now() })
    }

    /// Waits until it is as old as a tenant's.
    pub(super) async fn is_settled(&self) {
        sleep(SETTLED.saturating_sub(self.written.elapsed())).await;
    }

    /// Changes a hundredth of the bytes: in one large file, and in every hundredth small one.
    pub(super) fn change_a_hundredth(&self, machine: &Machine) -> Result<()> {
        let root = place(machine);
        let dice = Dice::new(self.bytes);
        let mut chance = fastrand::Rng::with_seed(dice.number(0..=u64::MAX));
        let mut block = vec![0; LARGE * LARGE_BYTES / 100];
        chance.fill(&mut block);
        let mut file = fs::OpenOptions::new().write(true).open(root.join("large/0"))?;
        file.write_all(&block)?;
        let mut block = vec![0; SMALL_BYTES];
        for number in (0..SMALL).step_by(100) {
            chance.fill(&mut block);
            fs::write(root.join(format!("small/{}/{number}", number % FOLDERS)), &block)?;
        }
        Ok(())
    }
}

fn place(machine: &Machine) -> PathBuf {
    machine.file(FOLDER)
}
