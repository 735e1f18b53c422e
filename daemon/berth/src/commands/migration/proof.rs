//! What both providers have signed, as files that anybody can keep and check.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::failure::{Failure, Result};

/// What the source says that it has moved.
const MANIFEST: &str = "manifest.jws";

/// What the target signed once it served.
const COUNTERSIGNATURE: &str = "countersignature.jws";

/// Writes both into a folder, which is made where there is none.
pub(super) fn write(folder: &Path, manifest: Option<&str>, countersignature: Option<&str>) -> Result<()> {
    let (Some(manifest), Some(countersignature)) = (manifest, countersignature) else {
        return Err(Failure::local("there is no proof yet: both have signed once the target serves"));
    };
    std::fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
    for (name, jws) in [(MANIFEST, manifest), (COUNTERSIGNATURE, countersignature)] {
        let path = folder.join(name);
        create(&path, jws).map_err(|error| unwritten(&path, &error))?;
    }
    Ok(())
}

/// Says where it is, and what to do with it.
pub(super) fn is_in(folder: &Path) -> String {
    let (manifest, countersignature) = (folder.join(MANIFEST), folder.join(COUNTERSIGNATURE));
    format!("berth migration verify {} {} checks it", manifest.display(), countersignature.display())
}

/// A proof that is there already is of another migration, or the same: it is not written over.
fn create(path: &Path, jws: &str) -> std::io::Result<()> {
    let text = format!("{jws}\n");
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if std::fs::read_to_string(path)? == text { Ok(()) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::local(format!("cannot write {}: {error}", path.display()))
}
