//! What verifying a bundle came to.

use std::fmt;

use berth_sign::{KeyId, Sha256Hex};
use serde::Serialize;

use crate::about::{About, ServiceAbout, Totals, VERSION};
use crate::path;

/// So many problems are listed; more are only counted.
pub const MAX_PROBLEMS: usize = 1000;

/// What verifying a bundle came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its length in bytes.
    pub size: u64,
    /// What it is of; absent where no signed manifest says it.
    pub about: Option<About>,
    /// The services, according to the signed manifest.
    pub services: Vec<ServiceAbout>,
    /// What is in it, according to the signed manifest.
    pub totals: Option<Totals>,
    /// Who signed it; absent where no signature holds.
    pub signer: Option<SignedBy>,
    /// What countersignatures name it by.
    pub manifest_sha256: Option<Sha256Hex>,
    /// All that is wrong, in the order in which it was found.
    pub problems: Vec<Problem>,
    /// How many more problems there are.
    pub more_problems: u64,
}

/// Who signed a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignedBy {
    /// What they call themselves; to be believed only where they are trusted.
    pub provider: String,
    /// What their key is called.
    pub key_id: KeyId,
    /// Whether the key is among those that are trusted.
    pub trusted: bool,
}

impl Report {
    /// Whether the bundle is whole: every byte of it is as it was signed, by whomsoever.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty() && self.signer.is_some()
    }

    /// Whether it is whole, and signed with a key that is trusted.
    pub fn is_trusted(&self) -> bool {
        self.is_intact() && self.signer.as_ref().is_some_and(|signer| signer.trusted)
    }

    pub(crate) fn add(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
        }
    }
}

/// Something that is wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which entry or member, encoded as the manifest does; absent for what belongs to none.
    pub path: Option<String>,
    /// What is wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// The first byte of the bundle where it shows, where that is known. Of a content it is known only where that begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// Something of it is not as it was signed.
    Altered {
        /// What.
        part: Part,
    },
    /// It is not there.
    Missing,
    /// It is not in the manifest, or there a second time.
    Added,
    /// It is as it should be, at the wrong place.
    Moved,
    /// The file ends within it.
    Truncated,
    /// It is among the secrets and not sealed.
    Unsealed,
    /// The signature does not hold.
    Signature {
        /// Why.
        reason: String,
    },
    /// It is signed, and of a version of the format that is not known here.
    Version {
        /// Which.
        version: u64,
    },
    /// The manifest is signed and breaks the format's rules.
    Format {
        /// How.
        reason: String,
    },
}

/// A part of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Its header: name, kind, size, owner, mode or time.
    Header,
    /// Its content.
    Content,
    /// The zeros after its content.
    Padding,
    /// The end of the archive.
    End,
}

impl Problem {
    pub(crate) fn of(name: &[u8], fault: Fault, offset: Option<u64>) -> Self {
        Self { path: Some(path::encode(name)), fault, offset }
    }

    pub(crate) fn altered(name: &[u8], part: Part, offset: u64) -> Self {
        Self::of(name, Fault::Altered { part }, Some(offset))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(encoded) = &self.path {
            let bytes = path::decode(encoded).unwrap_or_else(|_| encoded.clone().into_bytes());
            write!(f, "{}: ", path::for_people(&bytes))?;
        }
        fmt::Display::fmt(&self.fault, f)?;
        match self.offset {
            Some(offset) => write!(f, " (from byte {offset} of the bundle on)"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { part: Part::Header } => f.write_str("its header was altered"),
            Self::Altered { part: Part::Content } => f.write_str("its content was altered"),
            Self::Altered { part: Part::Padding } => f.write_str("the zeros after its content were altered"),
            Self::Altered { part: Part::End } => f.write_str("the archive does not end as it should"),
            Self::Missing => f.write_str("it is missing"),
            Self::Added => f.write_str("this was added"),
            Self::Moved => f.write_str("it is at another place"),
            Self::Truncated => f.write_str("the bundle ends within it"),
            Self::Unsealed => f.write_str("it is a secret that is not sealed"),
            Self::Version { version } => {
                write!(
                    f,
                    "the bundle is of version {version} of the format, and only {VERSION} is known here"
                )
            }
            Self::Signature { reason } | Self::Format { reason } => f.write_str(reason),
        }
    }
}
