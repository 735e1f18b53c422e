//! A configuration's files: shown, or written into a folder.

use std::path::{Component, Path};

use berth_domain::revision::Files;
use console::style;

use crate::failure::{Failure, Result};

/// All files, one after the other, each under its name.
pub(super) fn show(files: &Files) -> String {
    let parts = files
        .iter()
        .map(|(path, text)| format!("{}\n{}", style(format!("# {path}")).bold(), text.trim_end()));
    parts.collect::<Vec<_>>().join("\n\n")
}

/// Writes the files below a folder, which is made if it is not there.
pub(super) fn write(folder: &Path, files: &Files) -> Result<()> {
    for (path, text) in files {
        let stays_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !stays_inside {
            return Err(Failure::local(format!(
                "the daemon named a file “{path}”, which is outside the folder"
            )));
        }
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| Failure::local(format!("{} cannot be written: {error}", path.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_below_the_folder_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let files = Files::from([("flake.nix".to_owned(), "{ }\n".to_owned())]);
        write(&out, &files).unwrap();
        assert_eq!(std::fs::read_to_string(out.join("flake.nix")).unwrap(), "{ }\n");
        for bad in ["../x", "/tmp/x", "a/../../x"] {
            assert!(write(&out, &Files::from([(bad.to_owned(), String::new())])).is_err(), "{bad}");
        }
    }
}
