//! What serde says of a value of the wrong shape, as a broken rule of a field.

use berth_domain::Invalid;
use berth_domain::invalid::pointer_segment;
use serde_path_to_error::{Path, Segment};

/// The broken rule: `message` is serde's, `path` is where it happened.
pub(crate) fn mistake(path: &Path, message: &str) -> Invalid {
    let place = pointer(path);
    // Such a field has no path of its own; serde names it in its message.
    for (words, rule, text) in
        [("missing field `", "required", "is required"), ("duplicate field `", "duplicate", "is given twice")]
    {
        if let Some(field) = message.strip_prefix(words).and_then(|rest| rest.split('`').next()) {
            return Invalid::one(format!("{place}/{}", pointer_segment(field)), rule, text);
        }
    }
    let rule = if message.starts_with("unknown field") { "unknown-field" } else { "type" };
    Invalid::one(place, rule, message)
}

fn pointer(path: &Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", pointer_segment(key))),
            // A variant's name is the key that its content stands under.
            Segment::Enum { variant } => Some(format!("/{}", pointer_segment(variant))),
            Segment::Unknown => None,
        })
        .collect()
}
