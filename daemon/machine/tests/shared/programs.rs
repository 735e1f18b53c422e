//! Where the built programs are.

use std::path::{Path, PathBuf};

/// The folder of the built programs: what `BERTH_PROGRAMS` names, or the one above this test's.
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("BERTH_PROGRAMS") {
        return folder.into();
    }
    // Test programs stand in `deps` below the folder of the programs.
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}
