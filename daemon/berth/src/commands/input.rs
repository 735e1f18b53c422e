//! What a command reads from a file.

use std::io::Read as _;
use std::path::Path;

use berth_contract::ServicesPatch;

use crate::args::wish::Changes;
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

/// What is to be changed of a tenant's services, from a file or standard input; nothing without one.
pub(super) fn services_patch(changes: &Changes) -> Result<ServicesPatch> {
    let Some(file) = &changes.services else { return Ok(ServicesPatch::default()) };
    // What cannot be read may be secret, and is not shown.
    let unreadable = |error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        Failure::Usage(format!("--services: must be a JSON object (line {line}, column {column})"))
    };
    serde_json::from_str(&text(file)?).map_err(unreadable)
}
