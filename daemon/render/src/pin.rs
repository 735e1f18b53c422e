//! The reference to the platform.

use std::fmt;
use std::str::FromStr;

use crate::syntax::Text;

/// The longest reference, in bytes.
pub const MAX_PIN: usize = 2048;

/// The flake reference of the platform that a tenant's flake takes as its input `berth`, such as
/// `path:/usr/share/berth` or `git+https://example.org/berth?rev=…`. One that names an immutable version makes the
/// rendered flake reproducible; which ones do is Nix's matter and is not checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformPin(Text);

impl PlatformPin {
    /// The reference.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn text(&self) -> Text {
        self.0.clone()
    }
}

impl FromStr for PlatformPin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        if text.is_empty() {
            return Err(PinError::Empty);
        }
        if text.len() > MAX_PIN {
            return Err(PinError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PinError::ControlCharacter);
        }
        Text::try_from(text).map(Self).map_err(|_| PinError::ControlCharacter)
    }
}

impl fmt::Display for PlatformPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not a reference to a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Nothing was given.
    #[error("the platform's flake reference is empty")]
    Empty,
    /// More than [`MAX_PIN`] bytes.
    #[error("the platform's flake reference is longer than {MAX_PIN} bytes")]
    TooLong,
    /// A line break, a tab or another control character.
    #[error("the platform's flake reference holds a control character")]
    ControlCharacter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_one_line_of_bounded_length() {
        assert_eq!("path:/usr/share/berth".parse::<PlatformPin>().unwrap().as_str(), "path:/usr/share/berth");
        assert_eq!("".parse::<PlatformPin>(), Err(PinError::Empty));
        assert_eq!("x".repeat(MAX_PIN + 1).parse::<PlatformPin>(), Err(PinError::TooLong));
        for bad in ["path:/a\n", "path:/\0", "\u{85}", "path:\t/"] {
            assert_eq!(bad.parse::<PlatformPin>(), Err(PinError::ControlCharacter), "{bad:?}");
        }
    }
}
