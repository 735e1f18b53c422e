//! What a directory has to come to, summed up as a machine's agent does it (docs/src/migration.md, “The protocol”).

use berth_protocol::DirectoryFingerprint;
use sha2::{Digest as _, Sha256};

/// A directory whose entries are taken in one by one, in the order of their paths' components.
#[derive(Debug, Clone, Default)]
pub(crate) struct DirectorySum {
    files: u64,
    bytes: u64,
    sum: Sha256,
}

impl DirectorySum {
    /// Takes in an entry: its path below the directory, what it is as one letter, its mode, and of a file its size. `content` is the sum
    /// of that, or of where a link leads.
    pub(crate) fn add(&mut self, path: &[u8], kind: u8, mode: u32, size: u64, content: [u8; 32]) {
        self.sum.update((path.len() as u64).to_be_bytes());
        self.sum.update(path);
        self.sum.update([kind]);
        self.sum.update(mode.to_be_bytes());
        self.sum.update(size.to_be_bytes());
        self.sum.update(content);
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
    }

    /// What the directory must come to.
    pub(crate) fn fingerprint(&self) -> DirectoryFingerprint {
        let digits = self.sum.clone().finalize();
        DirectoryFingerprint {
            files: self.files,
            bytes: self.bytes,
            sha256: digits.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}
