//! What a command reads from a file.

use std::io::Read as _;
use std::path::Path;

use crate::failure::{Failure, Result};

/// The text of a file or, for `-`, of standard input.
pub(super) fn text(file: &Path) -> Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::local(format!("{} cannot be read: {error}", file.display())))?;
    Ok(text)
}
