//! A service out of a bundle, into a vault: first its buckets, each as a snapshot of its own; then the rest of it, of which what is no
//! directory is in another place than it comes in.

use std::collections::BTreeMap;
use std::io::Read;

use berth_bundle::{BundlePath, Entry, Kind};
use berth_domain::{CapturedBucket, ServiceName};
use berth_protocol::Pass;
use berth_vault::{Attributes, Author, Title};
use serde_json::{Value, json};

use super::bucket::Unpacked;
use super::{CAPTURE, FORMAT, Unpacking, not_written};
use crate::bundles::buckets::InBuckets;
use crate::bundles::holdings::{Held, HeldDirectory};
use crate::error::StepError;

/// A service whose snapshot is being written.
pub(super) struct Service<'a> {
    pub(super) name: &'a ServiceName,
    pub(super) held: &'a Held,
    /// What was written before it.
    pub(super) before: u64,
    /// The bucket that is being written.
    pub(super) bucket: Option<Unpacked>,
    pub(super) buckets: BTreeMap<String, CapturedBucket>,
    /// What is no directory, once that is whole: its tree, and where that belongs.
    pub(super) staged: Staged,
}

pub(super) enum Staged {
    /// Dumps are still coming.
    Open,
    /// It is whole, and not in its place yet.
    Whole([u8; 32]),
    /// It is in its place.
    Placed,
}

impl Service<'_> {
    /// Buckets come before whatever else a service has.
    pub(super) fn object(
        &mut self,
        of: &Unpacking,
        author: &mut Author,
        place: Option<InBuckets<'_>>,
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<(), StepError> {
        let Some(InBuckets::Bucket(name) | InBuckets::Object(name, _)) = place else { return Ok(()) };
        if self.bucket.as_ref().is_none_or(|bucket| bucket.name != name) {
            self.end_bucket(of, author)?;
            let about = self.held.about.buckets.get(name).cloned().unwrap_or_default();
            self.bucket = Some(Unpacked::begin(author, name, about));
        }
        match (&mut self.bucket, place) {
            (Some(bucket), Some(InBuckets::Object(_, path))) => bucket.object(author, path, entry, content),
            _ => Ok(()),
        }
    }

    pub(super) fn end_bucket(&mut self, of: &Unpacking, author: &mut Author) -> Result<(), StepError> {
        let Some(bucket) = self.bucket.take() else { return Ok(()) };
        let (name, captured) = bucket.finish(of, self.name, author)?;
        self.before += captured.bytes_added;
        self.buckets.insert(name, captured);
        Ok(())
    }

    pub(super) fn file(
        &mut self,
        of: &Unpacking,
        author: &mut Author,
        path: &[u8],
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<(), StepError> {
        self.stage(of, author)?;
        // Everything is written in the order of its place.
        let here = BundlePath::new(path).map_err(|error| StepError::failed("internal", error.to_string()))?;
        if BundlePath::try_from(self.folder(of).as_str()).is_ok_and(|staging| staging < here) {
            self.place(of, author)?;
        }
        let attributes = attributes(entry);
        match &entry.kind {
            Kind::Directory => author.folder(path, attributes),
            Kind::File { .. } => author.file(path, &attributes, content),
            Kind::Symlink { target } => author.link(path, &attributes, target.as_bytes()),
        }
        .map_err(not_written)
    }

    /// What is no directory is whole.
    pub(super) fn stage(&mut self, of: &Unpacking, author: &mut Author) -> Result<(), StepError> {
        if let Staged::Open = self.staged {
            let text = self.snapshot(of).to_string();
            let made = Attributes::of_root(0o600, of.made_at);
            author.file(b"snapshot.json", &made, &mut text.as_bytes()).map_err(not_written)?;
            self.staged = Staged::Whole(author.detach().map_err(not_written)?);
        }
        Ok(())
    }

    pub(super) fn place(&mut self, of: &Unpacking, author: &mut Author) -> Result<(), StepError> {
        if let Staged::Whole(tree) = self.staged {
            let made = Attributes::of_root(0o700, of.made_at);
            author.graft(self.folder(of).as_bytes(), &made, tree).map_err(not_written)?;
            self.staged = Staged::Placed;
        }
        Ok(())
    }

    fn folder(&self, of: &Unpacking) -> String {
        format!("{CAPTURE}/{}/{}", of.operation, self.name)
    }

    pub(super) fn title(&self, of: &Unpacking) -> Title {
        let directories = self.held.directories.iter().filter(|directory| directory.there.is_some());
        let mut paths = vec![format!("/{}", self.folder(of))];
        paths.extend(directories.map(|directory| directory.declared.path.clone()));
        paths.sort();
        let pass = Pass::Quiesced.tag();
        let tags = vec![of.operation.to_string(), format!("service:{}", self.name), pass];
        Title { at: of.made_at, host: of.tenant.to_string(), paths, tags }
    }

    /// `snapshot.json`. What a database was is not in a bundle; one that is there here is made as it is here.
    fn snapshot(&self, of: &Unpacking) -> Value {
        let database = |(name, bytes): (&String, &u64)| {
            let properties = json!({
                "owner": name, "encoding": "UTF8", "collate": "C", "ctype": "C", "provider": "c", "bytes": bytes
            });
            (name.clone(), properties)
        };
        let directory = |directory: &HeldDirectory| {
            let declared = &directory.declared;
            let (owner, group) =
                directory.there.clone().unwrap_or((declared.owner.clone(), declared.group.clone()));
            json!({
                "path": declared.path, "owner": owner, "group": group, "mode": declared.mode,
                "present": directory.there.is_some()
            })
        };
        json!({
            "format": FORMAT,
            "tenant": of.tenant,
            "service": self.name,
            "pass": Pass::Quiesced.word(),
            "at": of.made_at,
            "agent_version": env!("CARGO_PKG_VERSION"),
            "data_version": self.held.about.data_version,
            "databases": self.held.databases.iter().map(database).collect::<serde_json::Map<_, _>>(),
            "directories": self.held.directories.iter().map(directory).collect::<Vec<_>>(),
            "owners": { "users": self.held.users, "groups": self.held.groups },
        })
    }
}

pub(super) fn attributes(entry: &Entry) -> Attributes {
    let meta = &entry.meta;
    Attributes {
        mode: meta.mode.bits(),
        uid: meta.uid,
        gid: meta.gid,
        user: meta.owner.clone().unwrap_or_default(),
        group: meta.group.clone().unwrap_or_default(),
        mtime: meta.mtime,
    }
}
