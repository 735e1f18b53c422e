//! A bundle as a file that appears as a whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use berth_sign::SigningKey;

use crate::about::{About, ServiceAbout};
use crate::error::WriteError;
use crate::writer::{Finished, Writer};

/// A writer into a file.
pub type FileWriter<'a> = Writer<'a, BufWriter<File>>;

/// Writes a bundle that its user alone can read. Under its name it is there as a whole or not at all, and nothing that has
/// that name already is replaced.
///
/// # Errors
/// [`WriteError`]
pub fn create(
    path: &Path,
    about: About,
    services: Vec<ServiceAbout>,
    key: &SigningKey,
    fill: impl FnOnce(&mut FileWriter<'_>) -> Result<(), WriteError>,
) -> Result<Finished<()>, WriteError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Such a file has the mode 0600 from its beginning, and is removed unless it gets its name.
    let draft = tempfile::Builder::new().prefix(".berth-bundle-").tempfile_in(folder);
    let draft = draft.map_err(WriteError::Write)?;
    let out = draft.as_file().try_clone().map_err(WriteError::Write)?;
    let mut writer = Writer::new(BufWriter::new(out), about, services, key)?;
    fill(&mut writer)?;
    let Finished { mut out, size, totals, manifest_sha256, signature } = writer.finish()?;
    out.flush().and_then(|()| draft.as_file().sync_all()).map_err(WriteError::Write)?;
    draft.persist_noclobber(path).map_err(|error| WriteError::Write(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(WriteError::Write)?;
    Ok(Finished { out: (), size, totals, manifest_sha256, signature })
}
