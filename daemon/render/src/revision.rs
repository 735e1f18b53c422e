//! The hash of a set of files.

use berth_domain::RevisionId;
use berth_domain::revision::Files;
use sha2::{Digest, Sha256};

/// What the hashed text starts with: tells this encoding from any other and from its own later versions.
const TAG: &[u8] = b"berth revision 1\n";

/// The id of a set of files: SHA-256 over
///
/// 1. the 17 bytes `berth revision 1` and a line feed,
/// 2. the number of files, and
/// 3. for each file, in ascending byte order of the paths: the path's length, the path, the content's length, the
///    content.
///
/// Numbers are unsigned 64-bit, big-endian; lengths are in bytes; texts are UTF-8. Since every part announces its
/// length, no two different sets have the same encoding.
pub fn revision_id(files: &Files) -> RevisionId {
    let mut hash = Sha256::new_with_prefix(TAG);
    hash.update(length(files.len()));
    for (path, content) in files {
        hash.update(length(path.len()));
        hash.update(path);
        hash.update(length(content.len()));
        hash.update(content);
    }
    let digits = format!("{:x}", hash.finalize());
    digits.parse().unwrap_or_else(|_| unreachable!("a SHA-256 in hexadecimal is a revision's id"))
}

fn length(of: usize) -> [u8; 8] {
    // `usize` has at most 64 bits on every platform that Rust supports.
    (of as u64).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(files: &[(&str, &str)]) -> RevisionId {
        revision_id(&files.iter().map(|&(path, content)| (path.into(), content.into())).collect())
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        let mut bytes = b"berth revision 1\n".to_vec();
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend(b"a");
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 2]);
        bytes.extend(b"bc");
        assert_eq!(id(&[("a", "bc")]).as_str(), format!("{:x}", Sha256::digest(&bytes)));
    }

    #[test]
    fn moving_text_between_paths_contents_and_files_changes_the_id() {
        let all = [
            id(&[]),
            id(&[("", "")]),
            id(&[("a", "b")]),
            id(&[("ab", "")]),
            id(&[("", "ab")]),
            id(&[("a", ""), ("b", "")]),
            id(&[("a", "b"), ("c", "d")]),
            id(&[("a", "bc"), ("d", "")]),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
