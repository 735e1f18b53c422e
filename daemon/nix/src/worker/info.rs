//! What a store knows of a path.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::WorkerError;
use super::wire::{Outgoing, text, texts};
use crate::store_path::StorePath;

/// What a store knows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) path: StorePath,
    /// Empty where nobody knows.
    deriver: String,
    /// Of the archive, SHA-256 in hexadecimal digits.
    nar_hash: String,
    /// The size as an archive.
    pub(crate) nar_bytes: u64,
    pub(crate) references: Vec<StorePath>,
    signatures: Vec<String>,
    /// Empty where the path is not named by its content.
    content_address: String,
}

impl Info {
    /// Reads what follows when a daemon was asked about `path`.
    pub(super) async fn read(
        path: StorePath,
        input: &mut (impl AsyncRead + Unpin),
    ) -> Result<Self, WorkerError> {
        let (deriver, nar_hash) = (text(input).await?, text(input).await?);
        let references = texts(input).await?.iter().map(|reference| reference.parse()).collect();
        let references: Result<_, _> = references;
        let references = references.map_err(|_| WorkerError::Garbled("a reference that is no path"))?;
        // When it was registered concerns nobody else.
        input.read_u64_le().await?;
        let nar_bytes = input.read_u64_le().await?;
        // Nor does whether it was built there.
        input.read_u64_le().await?;
        let (signatures, content_address) = (texts(input).await?, text(input).await?);
        Ok(Self { path, deriver, nar_hash, nar_bytes, references, signatures, content_address })
    }

    /// Writes it for another store.
    pub(crate) fn write(&self, outgoing: &mut Outgoing) {
        outgoing.text(self.path.as_str());
        outgoing.text(&self.deriver);
        outgoing.text(&self.nar_hash);
        outgoing.texts(self.references.iter().map(StorePath::as_str));
        // When it is registered is for the other store to say, and it was not built there.
        outgoing.number(0);
        outgoing.number(self.nar_bytes);
        outgoing.number(0);
        outgoing.texts(self.signatures.iter().map(String::as_str));
        outgoing.text(&self.content_address);
    }
}

/// Orders a closure so that what others refer to comes before them, by name where that leaves a choice. Paths refer to nothing
/// that refers back, but for themselves.
pub(super) fn references_first(mut known: HashMap<StorePath, Info>) -> Vec<Info> {
    let mut names: Vec<StorePath> = known.keys().cloned().collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    let mut ordered = Vec::with_capacity(known.len());
    // Each path twice: before what it refers to, and once all of that is in its place.
    let mut left: Vec<(StorePath, bool)> = names.into_iter().map(|path| (path, false)).collect();
    let mut entered = std::collections::HashSet::new();
    while let Some((path, all_before)) = left.pop() {
        if all_before {
            ordered.extend(known.remove(&path));
        } else if entered.insert(path.clone()) {
            let references = known.get(&path).map(|info| info.references.clone()).unwrap_or_default();
            left.push((path, true));
            left.extend(references.into_iter().map(|reference| (reference, false)));
        }
    }
    ordered
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(number: usize) -> StorePath {
        format!("/nix/store/{number:032}-x").parse().unwrap()
    }

    pub(in super::super) fn info(number: usize, references: &[usize]) -> Info {
        Info {
            path: path(number),
            deriver: String::new(),
            nar_hash: "00".repeat(32),
            nar_bytes: 7,
            references: references.iter().copied().map(path).collect(),
            signatures: vec!["key:sum".into()],
            content_address: "fixed:r:sha256:x".into(),
        }
    }

    #[tokio::test]
    async fn what_is_written_for_another_store_is_what_is_read_behind_the_path() {
        let written = info(3, &[1, 2]);
        let mut outgoing = Outgoing::default();
        written.write(&mut outgoing);
        let mut input = outgoing.bytes();
        let path: StorePath = text(&mut input).await.unwrap().parse().unwrap();
        assert_eq!(Info::read(path, &mut input).await.unwrap(), written);
        assert!(input.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_refers_to_what_comes_after_it(edges in prop::collection::vec((0usize..30, 0usize..30), 0..90)) {
            let of = |number: usize| {
                // Only to smaller numbers, or itself.
                let to: Vec<usize> = edges.iter().filter(|(from, to)| *from == number && to <= from).map(|(_, to)| *to).collect();
                info(number, &to)
            };
            let known: HashMap<_, _> = (0..30).map(of).map(|info| (info.path.clone(), info)).collect();
            let ordered = references_first(known);
            prop_assert_eq!(ordered.len(), 30);
            for (at, info) in ordered.iter().enumerate() {
                for reference in info.references.iter().filter(|reference| **reference != info.path) {
                    prop_assert!(ordered[..at].iter().any(|before| before.path == *reference));
                }
            }
        }
    }
}
