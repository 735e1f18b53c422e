//! Journal lines.

use std::time::Duration;

use berth_protocol::{FailureCode, UnitLog};

use crate::failure::{Result, failure};
use crate::programs::{command, run_ok};
use crate::units::check_name;

const LIMIT: Duration = Duration::from_secs(30);

/// The bounds of one answer: units, lines of each, characters of a line, bytes of a unit's lines together.
const MAX_UNITS: usize = 64;
const MAX_LINES: u32 = 1000;
const MAX_LINE: usize = 4096;
const MAX_BYTES: usize = 24 * 1024;

/// The newest lines of some units.
pub(crate) fn newest(units: &[String], lines: u32) -> Result<Vec<UnitLog>> {
    if units.len() > MAX_UNITS {
        return Err(failure(
            FailureCode::BadCall,
            format!("at most {MAX_UNITS} units' logs can be asked for at once"),
        ));
    }
    units.iter().try_for_each(|unit| check_name(unit))?;
    units.iter().map(|unit| of_unit(unit, lines.min(MAX_LINES))).collect()
}

fn of_unit(unit: &str, lines: u32) -> Result<UnitLog> {
    let mut journal = command("journalctl")?;
    journal.args(["--no-pager", "--quiet", "--output=short-iso", "--no-hostname"]);
    journal.arg(format!("--lines={lines}")).arg(format!("--unit={unit}"));
    Ok(UnitLog { unit: unit.to_owned(), lines: bounded(&run_ok(journal, LIMIT)?) })
}

/// The newest lines that fit the bounds, oldest first.
fn bounded(text: &str) -> Vec<String> {
    let mut room = MAX_BYTES;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().rev() {
        let line: String = line.chars().take(MAX_LINE).collect();
        let Some(left) = room.checked_sub(line.len() + 1) else { break };
        room = left;
        lines.push(line);
    }
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_when_there_is_no_room_for_all() {
        assert_eq!(bounded("a\nb\n"), ["a", "b"]);
        let text = format!("oldest\n{}newest\n", format!("{}\n", "x".repeat(2000)).repeat(20));
        let kept = bounded(&text);
        assert_eq!(kept.last().map(String::as_str), Some("newest"));
        assert!(!kept.contains(&"oldest".to_owned()));
        assert!(kept.iter().map(|line| line.len() + 1).sum::<usize>() <= MAX_BYTES);
    }

    #[test]
    fn too_many_units_are_refused() {
        let units = vec!["a.service".to_owned(); MAX_UNITS + 1];
        assert_eq!(newest(&units, 1).unwrap_err().code, FailureCode::BadCall);
    }
}
