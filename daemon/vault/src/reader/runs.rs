//! Many pieces at once, in the order in which they lie in packs: what lies together is asked for together, as each question takes its
//! time where the repository lies far away.

use super::index::Place as Spot;
use super::{ReadError, Reader};
use crate::object::{Blob, Key, Kind, Sum};
use crate::storage::{Part, StorageError};

/// How many bytes are asked for at once, but for a piece that is longer.
const RUN: u64 = 8 * 1024 * 1024;

/// How many bytes that nobody wants are asked for between two that somebody does.
const GAP: u64 = 64 * 1024;

/// How many bytes a piece becomes longer by when it is sealed: what begins it, and its signature.
pub(crate) const SEAL: u32 = 32;

/// Pieces of one pack that lie together.
struct Run {
    pack: Sum,
    begin: u64,
    end: u64,
    pieces: Vec<([u8; 32], Spot)>,
}

impl Reader {
    /// Reads pieces, each compared with its sum, in any order.
    pub(crate) fn each<E: From<ReadError>>(
        &self,
        blob: Blob,
        ids: impl IntoIterator<Item = [u8; 32]>,
        visit: &mut dyn FnMut([u8; 32], Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let spots = ids.into_iter().map(|id| Ok((id, self.spot(blob, id)?)));
        let mut spots = spots.collect::<Result<Vec<_>, ReadError>>()?;
        spots.sort_unstable_by_key(|(_, spot)| (spot.pack.bytes(), spot.offset));
        for run in runs(spots) {
            let part = Part::Between(run.begin, run.end.saturating_sub(1));
            let read = match self.source.get(&Key::Object(Kind::Data, run.pack), part) {
                Err(StorageError::NotFound) => Err(ReadError::Missing(format!("data/{}", run.pack))),
                Err(StorageError::OutOfRange { .. }) => Err(ReadError::Damaged(format!("data/{}", run.pack))),
                read => Ok(read.map_err(ReadError::from)?),
            }?;
            for (id, spot) in run.pieces {
                let from = usize::try_from(u64::from(spot.offset) - run.begin).unwrap_or(usize::MAX);
                let sealed = from.checked_add(spot.length as usize).and_then(|to| read.get(from..to));
                let sealed = sealed.ok_or_else(|| ReadError::Damaged(format!("data/{}", run.pack)))?;
                visit(id, self.open_piece(id, &spot, sealed)?)?;
            }
        }
        Ok(())
    }

    /// How long a piece of a file is, in bytes.
    pub(crate) fn length(&self, id: [u8; 32]) -> Result<u64, ReadError> {
        let spot = self.spot(Blob::Data, id)?;
        Ok(spot.unpacked.unwrap_or(spot.length.saturating_sub(SEAL)).into())
    }

    /// How long a piece of a file is as it is stored, in bytes.
    pub(crate) fn stored(&self, id: [u8; 32]) -> Result<u64, ReadError> {
        Ok(self.spot(Blob::Data, id)?.length.into())
    }
}

/// What lies together, of pieces in the order of their places.
fn runs(spots: Vec<([u8; 32], Spot)>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (id, spot) in spots {
        let (begin, end) = (u64::from(spot.offset), u64::from(spot.offset) + u64::from(spot.length));
        match runs.last_mut() {
            Some(run)
                if run.pack == spot.pack && begin <= run.end + GAP && end.max(run.end) - run.begin <= RUN =>
            {
                run.end = run.end.max(end);
                run.pieces.push((id, spot));
            }
            _ => runs.push(Run { pack: spot.pack, begin, end, pieces: vec![(id, spot)] }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_together_is_one_run_and_none_is_longer_than_it_may_be() {
        let spot = |pack: u8, offset: u32, length: u32| {
            ([pack; 32], Spot { pack: Sum::new([pack; 32]), offset, length, unpacked: None })
        };
        let found = runs(vec![
            spot(1, 0, 100),
            spot(1, 100, 100),
            spot(1, 200 + 64 * 1024, 9 * 1024 * 1024),
            spot(1, 20_000_000, 5),
            spot(2, 20_000_005, 5),
        ]);
        let shown: Vec<_> = found.iter().map(|run| (run.begin, run.end, run.pieces.len())).collect();
        let long = 200 + 64 * 1024;
        let expected = [
            (0, 200, 2),
            (long, long + 9 * 1024 * 1024, 1),
            (20_000_000, 20_000_005, 1),
            (20_000_005, 20_000_010, 1),
        ];
        assert_eq!(shown, expected);
    }
}
