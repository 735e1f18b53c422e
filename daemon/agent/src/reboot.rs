//! Starts the machine anew, once for each operation.

use std::io::ErrorKind;
use std::path::Path;

use berth_protocol::{Answer, Claim};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::activation::{boot_id, unit};
use crate::failure::{Result, io};
use crate::fence;
use crate::files::write_json;
use crate::places::REBOOT;

/// Who asked last, and in which boot.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    operation: Uuid,
    boot: String,
}

/// Has the machine start anew in a moment; tells instead whether it has been, where the operation asked before.
pub(crate) fn reboot(claim: &Claim) -> Result<Answer> {
    fence::check(claim)?;
    let (operation, boot) = (claim.operation, boot_id());
    let done = has_been(Path::new(REBOOT), Asked { operation, boot })?;
    if !done {
        unit::start_reboot(operation)?;
    }
    Ok(Answer::Reboot { done })
}

/// Whether the operation asked in an earlier boot. Where it never did, it is written down that it does now.
fn has_been(path: &Path, now: Asked) -> Result<bool> {
    match last(path)? {
        Some(asked) if asked.operation == now.operation => Ok(asked.boot != now.boot),
        _ => {
            write_json(path, &now)?;
            Ok(false)
        }
    }
}

/// What is written down; one that cannot be read is none.
fn last(path: &Path) -> Result<Option<Asked>> {
    match std::fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(format!("cannot read {}", path.display()))(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_that_asks_again_in_another_boot_is_told_that_it_was_done() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reboot");
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let asks = |operation, boot: &str| has_been(&path, Asked { operation, boot: boot.into() }).unwrap();
        assert!(!asks(one, "a") && !asks(one, "a"));
        assert!(asks(one, "b") && asks(one, "c"));
        assert!(!asks(two, "c") && asks(two, "d"));
        std::fs::write(&path, "half").unwrap();
        assert!(!asks(two, "d") && !asks(two, "d"));
    }
}
