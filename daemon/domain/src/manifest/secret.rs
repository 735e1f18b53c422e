//! A service's secrets: where each stands, how it comes into being, and what losing it costs.

use serde::{Deserialize, Serialize};

/// A secret that a service reads from a file outside the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name, unique within the service.
    pub name: String,
    /// What it is for, for people.
    pub purpose: String,
    /// The file, absolute.
    pub path: String,
    /// How it comes into being where it does not exist.
    pub generate: Generator,
    /// Owner of the file.
    pub owner: String,
    /// Group of the file.
    pub group: String,
    /// Mode in octal digits, such as `0400`.
    pub mode: String,
    /// The units that read it.
    pub readers: Vec<String>,
    /// What is lost with it.
    pub loss: Loss,
}

/// What is lost with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Nothing: another one does as well.
    Nothing,
    /// What people would have to do again: sessions, sign-ins of programs, subscriptions.
    Sessions,
    /// Data: what was encrypted or signed with it, in the database or at other servers.
    Data,
}

/// How a secret comes into being.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Generator {
    /// Random bytes as hexadecimal digits in lower case.
    Hex {
        /// How many bytes; twice as many digits.
        bytes: usize,
        /// What stands before the digits.
        #[serde(default)]
        prefix: String,
    },
    /// Random bytes in Base64 with padding.
    Base64 {
        /// How many bytes.
        bytes: usize,
        /// What stands before them.
        #[serde(default)]
        prefix: String,
    },
    /// Random bytes in Base64 for URLs, without padding (RFC 4648, section 5).
    Base64Url {
        /// How many bytes.
        bytes: usize,
    },
    /// A random word of ASCII letters and digits.
    Alphanumeric {
        /// How many characters.
        length: usize,
    },
    /// The private half of a VAPID key pair (RFC 8292): the 32 bytes of a P-256 key in Base64 for URLs, with padding.
    VapidPrivate,
    /// The public half: the uncompressed point of 65 bytes in Base64 for URLs, with padding. Made anew from its other half.
    VapidPublic {
        /// The name of the secret with the private half, which stands before this one.
        of: String,
    },
    /// A text with other secrets of the same service in it, which stand before this one; written anew when they change.
    Template {
        /// The text; `{{name}}` stands for the secret of that name.
        text: String,
    },
    /// What the customer gave as a setting; brought by the daemon.
    Supplied {
        /// The setting's JSON pointer within the service's settings, such as `/smtp/password`.
        setting: String,
        /// The number of the value that was given last, from 1 on.
        version: u64,
    },
    /// Made by the service itself at its first start. It is part of the service's directories and named for information.
    Service,
}

impl Generator {
    /// Whether it is made of chance alone, so that another machine cannot make the same.
    pub fn is_by_chance(&self) -> bool {
        match self {
            Self::Hex { .. }
            | Self::Base64 { .. }
            | Self::Base64Url { .. }
            | Self::Alphanumeric { .. }
            | Self::VapidPrivate => true,
            Self::VapidPublic { .. } | Self::Template { .. } | Self::Supplied { .. } | Self::Service => false,
        }
    }
}
