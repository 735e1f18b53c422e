//! Walking through directories, without ever following a link.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use berth_domain::manifest::Directory;

/// Calls `visit` for everything below `root`, a directory's entries in the order of their names' bytes and each entry before
/// what is below it. Paths are relative to `root`. One that is gone when it is looked at is passed over.
pub(super) fn walk(
    root: &Path,
    visit: &mut dyn FnMut(&Path, &Metadata) -> std::io::Result<()>,
) -> std::io::Result<()> {
    // An own stack, as a tree may be deeper than a thread's.
    let mut waiting = vec![PathBuf::new()];
    while let Some(relative) = waiting.pop() {
        let path = root.join(&relative);
        let found = match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            found => found?,
        };
        if !relative.as_os_str().is_empty() {
            visit(&relative, &found)?;
        }
        if found.is_dir() {
            let entries = match std::fs::read_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            let mut names: Vec<_> =
                entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
            names.sort_unstable_by(|one, other| other.cmp(one));
            waiting.extend(names.into_iter().map(|name| relative.join(name)));
        }
    }
    Ok(())
}

/// The paths of those directories of a service that are not below others of it.
pub(super) fn outermost_of(directories: &[Directory]) -> Vec<&str> {
    let paths: Vec<&str> = directories.iter().map(|directory| directory.path.as_str()).collect();
    outermost(&paths)
}

/// Those of some paths that are not below others of them.
fn outermost<'a>(paths: &[&'a str]) -> Vec<&'a str> {
    let is_inside =
        |path: &str| paths.iter().any(|other| *other != path && Path::new(path).starts_with(other));
    let mut outer: Vec<&str> = paths.iter().copied().filter(|path| !is_inside(path)).collect();
    outer.dedup();
    outer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_visited_in_order_and_links_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        std::fs::create_dir(folder.path().join("outside")).unwrap();
        std::fs::write(folder.path().join("outside/x"), "").unwrap();
        std::os::unix::fs::symlink("../outside", root.join("a")).unwrap();
        std::fs::write(root.join("b/z"), "").unwrap();
        std::fs::write(root.join("b.txt"), "").unwrap();
        let mut seen = Vec::new();
        walk(&root, &mut |path, _| {
            seen.push(path.display().to_string());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, ["a", "b", "b/c", "b/z", "b.txt"]);
        walk(&folder.path().join("nowhere"), &mut |_, _| panic!()).unwrap();
    }

    #[test]
    fn a_directory_in_another_goes_with_it() {
        assert_eq!(outermost(&["/a/b", "/a", "/ab", "/c/d"]), ["/a", "/ab", "/c/d"]);
    }
}
