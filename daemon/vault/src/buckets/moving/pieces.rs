//! An object's content in pieces of the length that is wanted.

use bytes::{Bytes, BytesMut};
use chrono::Utc;

use super::super::error::BucketError;
use super::super::fetch::{Incoming, Told};
use super::super::listing::Listed;
use super::ledger::{Noted, State};

/// What comes of an object.
pub(super) struct Pieces<'a> {
    incoming: Incoming<'a>,
    /// What came and was not taken yet.
    rest: Bytes,
}

impl<'a> Pieces<'a> {
    /// Of what comes.
    pub(super) fn of(incoming: Incoming<'a>) -> Self {
        Self { incoming, rest: Bytes::new() }
    }

    /// What the store tells of the object.
    pub(super) fn told(&self) -> &Told {
        &self.incoming.told
    }

    /// The next piece, which is as long as is wanted unless it is the last one. Behind that there is an empty one.
    pub(super) async fn next(&mut self, length: u64) -> Result<Bytes, BucketError> {
        // What grows takes up to twice as much.
        let mut piece = BytesMut::with_capacity(length as usize);
        while (piece.len() as u64) < length {
            if self.rest.is_empty() {
                match self.incoming.next().await.map_err(BucketError::in_the_old)? {
                    Some(chunk) => self.rest = chunk,
                    None => break,
                }
            }
            let taken = (length - piece.len() as u64).min(self.rest.len() as u64);
            piece.extend_from_slice(&self.rest.split_to(taken as usize));
        }
        Ok(piece.freeze())
    }

    /// Refuses what is called as the object that was listed and is not as long: a connection that was cut may look like an end.
    pub(super) fn is_all_of(&self, listed: &Listed) -> Result<(), BucketError> {
        let told = self.told();
        let same = listed.is_told_of(told.e_tag.as_ref(), told.last_modified);
        if same && self.incoming.received != listed.size { Err(BucketError::Changed) } else { Ok(()) }
    }

    /// The object, as it was when it was read. A listing tells its time more exactly.
    pub(super) fn noted(self, listed: &Listed, state: State) -> Noted {
        let Incoming { told, received: size, .. } = self.incoming;
        let same = listed.is_told_of(told.e_tag.as_ref(), told.last_modified);
        let last_modified =
            if same { listed.last_modified } else { told.last_modified.unwrap_or_else(Utc::now) };
        let (key, e_tag) = (listed.key.clone(), told.e_tag.or_else(|| listed.e_tag.clone()));
        Noted { key, size, e_tag, last_modified, state, earlier: Vec::new() }
    }
}
