//! How far something is.

/// How far something is. It is told often, and costs nothing to ignore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of contents that were written, verified or extracted.
    pub bytes: u64,
    /// Files that were finished.
    pub files: u64,
    /// How many bytes there will be; a writer does not know it.
    pub of_bytes: Option<u64>,
}
