//! Which of the daemons on one database this is. The id stays with the data folder, which one daemon at a time uses: what
//! a daemon of that id left behind was left by one that is dead, and is taken up at once.

use std::path::Path;

use anyhow::{Context, ensure};
use uuid::Uuid;

use crate::data_dir::write_private;

/// The id's file in the data folder.
const FILE: &str = "replica";

/// Reads the id, which is made once.
///
/// # Errors
/// The file holds something else, or cannot be read or written.
pub fn ensure(data_dir: &Path) -> anyhow::Result<String> {
    let file = data_dir.join(FILE);
    if !file.exists() {
        write_private(&file, Uuid::now_v7().to_string().as_bytes())?;
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let id = Uuid::try_parse(text.trim());
    ensure!(id.is_ok(), "{} holds no UUID; remove it, and a new one is made", file.display());
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stays_with_the_folder() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = ensure(one.path()).unwrap();
        assert_eq!(ensure(one.path()).unwrap(), first);
        assert_ne!(ensure(other.path()).unwrap(), first);
        std::fs::write(one.path().join(FILE), "").unwrap();
        assert!(ensure(one.path()).unwrap_err().to_string().contains("no UUID"));
    }
}
