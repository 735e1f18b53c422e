//! Of which version programs are. A program is asked once for each file that it is: on the way of a deployment, starting
//! `nix` to hear its version again would be among what takes longest.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::{json_if_any, replace_unsynced};
use crate::places::VOLATILE;
use crate::programs::{find, prepare, run_ok};

const LIMIT: Duration = Duration::from_secs(20);

/// What was heard from a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    file: Identity,
    version: String,
}

/// Which file a program is; another one after an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    path: PathBuf,
    inode: u64,
    changed: i64,
}

/// The version that `program --version` tells: the `word`th word of its first line, counted from 0. Nothing where there is no
/// such program.
pub(crate) fn of(program: &str, word: usize) -> Option<String> {
    of_file(&find(program, &[])?, word, &Path::new(VOLATILE).join(format!("version-of-{program}.json")))
}

fn of_file(program: &Path, word: usize, memory: &Path) -> Option<String> {
    let file = identity(program)?;
    // What cannot be read is asked for again.
    let known = json_if_any::<Known>(memory).ok().flatten();
    if let Some(known) = known.filter(|known| known.file == file) {
        return Some(known.version);
    }
    let version = ask(program, word)?;
    if let Ok(bytes) = serde_json::to_vec(&Known { file, version: version.clone() }) {
        // It is only asked again, then.
        let _ = replace_unsynced(memory, &bytes);
    }
    Some(version)
}

fn identity(program: &Path) -> Option<Identity> {
    let path = program.canonicalize().ok()?;
    let metadata = path.metadata().ok()?;
    Some(Identity { inode: metadata.ino(), changed: metadata.ctime(), path })
}

fn ask(program: &Path, word: usize) -> Option<String> {
    let mut ask = std::process::Command::new(program);
    prepare(&mut ask);
    ask.arg("--version");
    word_of(&run_ok(ask, LIMIT).ok()?, word)
}

/// `systemd 257 (257.6-1)`, `nix (Nix) 2.26.3`.
fn word_of(text: &str, word: usize) -> Option<String> {
    text.lines().next()?.split_whitespace().nth(word).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(path: &Path, version: &str) {
        let text = format!("#!/bin/sh\necho asked >> \"$0.log\"\necho 'nix (Nix) {version}'\necho more\n");
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, path).unwrap();
    }

    #[test]
    fn a_program_is_asked_once_and_again_when_another_file_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (nix, memory) = (folder.path().join("nix"), folder.path().join("memory"));
        assert_eq!(of_file(&nix, 2, &memory), None);
        program(&nix, "2.26.3");
        for _ in 0..3 {
            assert_eq!(of_file(&nix, 2, &memory).as_deref(), Some("2.26.3"));
        }
        let asked = || fs::read_to_string(folder.path().join("nix.log")).unwrap().lines().count();
        assert_eq!(asked(), 1);
        program(&nix, "2.30.0");
        assert_eq!(of_file(&nix, 2, &memory).as_deref(), Some("2.30.0"));
        assert_eq!(asked(), 2);
        fs::write(&memory, "spoiled").unwrap();
        assert_eq!(of_file(&nix, 2, &memory).as_deref(), Some("2.30.0"));
    }

    #[test]
    fn versions_stand_in_the_first_line() {
        assert_eq!(word_of("systemd 257 (257.6-1)\n+PAM +AUDIT\n", 1).as_deref(), Some("257"));
        assert_eq!(word_of("nix (Nix) 2.26.3\n", 2).as_deref(), Some("2.26.3"));
        assert_eq!(word_of("\n", 2), None);
    }
}
