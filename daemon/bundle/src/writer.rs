//! Writing a bundle as a stream: each entry once, in the order of the paths, in bounded memory.
//!
//! A file's length must be known before its content, as an archive wants it. What has no known length is written into a
//! temporary file first ([`Writer::spooled`]).

use std::io::{self, Cursor, Read, Seek, Write};

use berth_sign::{Sha256Hex, SigningKey};
use sha2::{Digest as _, Sha256};
use tempfile::SpooledTempFile;

use crate::about::{
    self, About, Format, Head, MANIFEST, ManifestSum, SIGNATURE, SIGNATURE_TYPE, ServiceAbout, Signer,
    Statement, Totals, VERSION,
};
use crate::entry::{Entry, FileMode, Kind, Meta, Target};
use crate::error::WriteError;
use crate::header;
use crate::path::BundlePath;
use crate::progress::Progress;
use crate::rules::{SEALED, Sequence, is_secret};

type Result<T> = std::result::Result<T, WriteError>;

/// How much is copied at once.
const CHUNK: usize = 128 * 1024;
/// How much of the manifest is kept in memory before it goes into a temporary file that has no name.
const MANIFEST_IN_MEMORY: usize = 1024 * 1024;

/// A bundle that is being written. It is one only when it was finished.
pub struct Writer<'a, W: Write> {
    out: W,
    written: u64,
    key: &'a SigningKey,
    about: About,
    sequence: Sequence,
    manifest: Manifest,
    progress: Progress,
    tell: Box<dyn FnMut(Progress) + 'a>,
    chunk: Box<[u8]>,
    /// Whether an entry broke off.
    broken: bool,
}

/// The manifest so far.
struct Manifest {
    lines: SpooledTempFile,
    sum: Sha256,
    size: u64,
}

/// A bundle that was written.
#[derive(Debug)]
pub struct Finished<W> {
    /// Where it went. It was not flushed.
    pub out: W,
    /// How long it is, in bytes.
    pub size: u64,
    /// What is in it.
    pub totals: Totals,
    /// What countersignatures name it by.
    pub manifest_sha256: Sha256Hex,
    /// Its signature, as in its last member.
    pub signature: String,
}

impl<'a, W: Write> Writer<'a, W> {
    /// Begins a bundle. Many small pieces are written: `out` should have a buffer.
    ///
    /// # Errors
    /// [`WriteError::Services`], [`WriteError::Write`]
    pub fn new(out: W, about: About, services: Vec<ServiceAbout>, key: &'a SigningKey) -> Result<Self> {
        let names_folder = |service: &ServiceAbout| {
            BundlePath::try_from(&service.name[..]).is_ok_and(|path| path.components().count() == 1)
        };
        if !services.is_sorted_by(|one, next| one.name < next.name) || !services.iter().all(names_folder) {
            return Err(WriteError::Services);
        }
        let head = Head {
            format: Format::Manifest,
            version: VERSION,
            tenant: about.tenant.clone(),
            created: about.created,
            signer: Signer::of(&about.provider, &key.public()),
            services,
        };
        let text = about.text()?;
        let created = about.created.timestamp();
        let mut writer = Self {
            out,
            written: 0,
            key,
            about,
            sequence: Sequence::default(),
            manifest: Manifest::begin(&head)?,
            progress: Progress::default(),
            tell: Box::new(|_| ()),
            chunk: vec![0; CHUNK].into_boxed_slice(),
            broken: false,
        };
        let path = BundlePath::try_from(about::ABOUT)
            .map_err(|reason| WriteError::BadPath { name: about::ABOUT.to_owned(), reason })?;
        writer.bytes(path, Meta::made(FileMode::FILE, created), &text)?;
        Ok(writer)
    }

    /// Has it told how far it is.
    pub fn on_progress(&mut self, tell: impl FnMut(Progress) + 'a) {
        self.tell = Box::new(tell);
    }

    /// Adds a folder. Folders that nobody adds are made when something in them is extracted; this is for their owners and
    /// modes, and for empty ones.
    ///
    /// # Errors
    /// [`WriteError::Misplaced`], [`WriteError::Write`]
    pub fn directory(&mut self, path: BundlePath, meta: Meta) -> Result<()> {
        self.entry(Entry { path, kind: Kind::Directory, meta }, &mut io::empty())
    }

    /// Adds a symbolic link, wherever it leads.
    ///
    /// # Errors
    /// [`WriteError::Misplaced`], [`WriteError::Write`]
    pub fn symlink(&mut self, path: BundlePath, target: Target, meta: Meta) -> Result<()> {
        self.entry(Entry { path, kind: Kind::Symlink { target }, meta }, &mut io::empty())
    }

    /// Adds a file of a known length. What the reader has beyond it is not read.
    ///
    /// # Errors
    /// [`WriteError::Misplaced`], [`WriteError::Unsealed`], [`WriteError::Read`], [`WriteError::Short`],
    /// [`WriteError::Write`]
    pub fn file(&mut self, path: BundlePath, meta: Meta, size: u64, mut content: impl Read) -> Result<()> {
        let kind = Kind::File { size, sha256: [0; 32].into() };
        self.entry(Entry { path, kind, meta }, &mut content)
    }

    /// Adds a file of these bytes.
    ///
    /// # Errors
    /// As [`Writer::file`]
    pub fn bytes(&mut self, path: BundlePath, meta: Meta, content: &[u8]) -> Result<()> {
        self.file(path, meta, content.len() as u64, content)
    }

    /// Adds a file whose length only its end tells, by way of a temporary file.
    ///
    /// # Errors
    /// As [`Writer::file`]
    pub fn spooled(&mut self, path: BundlePath, meta: Meta, mut content: impl Read) -> Result<()> {
        let problem = |source| WriteError::Read { path: path.clone(), source };
        let mut spool = tempfile::spooled_tempfile(MANIFEST_IN_MEMORY);
        let size = io::copy(&mut content, &mut spool).map_err(problem)?;
        spool.rewind().map_err(problem)?;
        self.file(path, meta, size, spool)
    }

    /// Ends the bundle: the manifest, the signature, and two blocks of zeros.
    ///
    /// # Errors
    /// [`WriteError::Broken`], [`WriteError::Write`]
    pub fn finish(mut self) -> Result<Finished<W>> {
        if self.broken {
            return Err(WriteError::Broken);
        }
        let totals = self.sequence.totals();
        self.manifest.line(&totals)?;
        let sum = self.manifest.sum();
        let created = self.about.created.timestamp();
        self.raw(&header::of_last(MANIFEST, sum.size, created))?;
        self.manifest.lines.rewind().map_err(WriteError::Write)?;
        self.written += io::copy(&mut self.manifest.lines, &mut self.out).map_err(WriteError::Write)?;
        self.pad(sum.size)?;
        let signature = self.key.sign(&serde_json::to_vec(&self.statement(sum))?, SIGNATURE_TYPE);
        let size = signature.len() as u64;
        self.raw(&header::of_last(SIGNATURE, size, created))?;
        self.raw(signature.as_bytes())?;
        self.pad(size)?;
        self.raw(&[0; header::END as usize])?;
        let (out, size, manifest_sha256) = (self.out, self.written, sum.sha256);
        Ok(Finished { out, size, totals, manifest_sha256, signature })
    }

    fn statement(&self, manifest: ManifestSum) -> Statement {
        let About { format, version, tenant, created, .. } = self.about.clone();
        Statement { format, version, tenant, created, manifest }
    }

    fn entry(&mut self, mut entry: Entry, content: &mut dyn Read) -> Result<()> {
        if self.broken {
            return Err(WriteError::Broken);
        }
        self.sequence
            .judge(&entry.path, &entry.kind)
            .map_err(|reason| WriteError::Misplaced { path: entry.path.clone(), reason })?;
        let mut begin = Vec::new();
        if is_secret(&entry.path) && matches!(entry.kind, Kind::File { .. }) {
            begin = beginning(&entry.path, content)?;
        }
        let mut content = Cursor::new(begin).chain(content);
        // From here on the stream is a bundle's only if all of it works.
        self.broken = true;
        self.raw(&header::of_entry(&entry))?;
        if let Kind::File { size, sha256 } = &mut entry.kind {
            *sha256 = self.content(&entry.path, *size, &mut content)?;
            self.pad(*size)?;
            self.progress.files += 1;
        }
        self.sequence
            .accept(&entry)
            .map_err(|reason| WriteError::Misplaced { path: entry.path.clone(), reason })?;
        self.manifest.line(&entry)?;
        self.broken = false;
        (self.tell)(self.progress);
        Ok(())
    }

    fn content(&mut self, path: &BundlePath, size: u64, content: &mut dyn Read) -> Result<Sha256Hex> {
        let mut sum = Sha256::new();
        let mut done = 0;
        while done < size {
            let room = usize::try_from(size - done).unwrap_or(usize::MAX).min(self.chunk.len());
            let read = match content.read(&mut self.chunk[..room]) {
                Ok(0) => return Err(WriteError::Short { path: path.clone(), expected: size, read: done }),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(WriteError::Read { path: path.clone(), source }),
            };
            sum.update(&self.chunk[..read]);
            self.out.write_all(&self.chunk[..read]).map_err(WriteError::Write)?;
            done += read as u64;
            self.written += read as u64;
            self.progress.bytes += read as u64;
            (self.tell)(self.progress);
        }
        Ok(<[u8; 32]>::from(sum.finalize()).into())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let zeros = [0; header::BLOCK as usize];
        self.raw(&zeros[..header::padding(size) as usize])
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(WriteError::Write)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// The beginning of a secret's content, which must be that of what age sealed.
fn beginning(path: &BundlePath, content: &mut dyn Read) -> Result<Vec<u8>> {
    let mut begin = Vec::new();
    content
        .take(SEALED.len() as u64)
        .read_to_end(&mut begin)
        .map_err(|source| WriteError::Read { path: path.clone(), source })?;
    if begin == SEALED { Ok(begin) } else { Err(WriteError::Unsealed(path.clone())) }
}

impl Manifest {
    fn begin(head: &Head) -> Result<Self> {
        let lines = tempfile::spooled_tempfile(MANIFEST_IN_MEMORY);
        let mut manifest = Self { lines, sum: Sha256::new(), size: 0 };
        manifest.line(head)?;
        Ok(manifest)
    }

    fn line(&mut self, value: &impl serde::Serialize) -> Result<()> {
        let line = about::line(value)?;
        self.lines.write_all(&line).map_err(WriteError::Write)?;
        self.sum.update(&line);
        self.size += line.len() as u64;
        Ok(())
    }

    fn sum(&self) -> ManifestSum {
        let sha256 = <[u8; 32]>::from(self.sum.clone().finalize()).into();
        ManifestSum { size: self.size, sha256 }
    }
}
